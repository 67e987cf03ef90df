"""Fifty at once."""

from concurrent.futures import ThreadPoolExecutor

from podflare import Client, Sandbox

from ..matrix import SLOW
from .printed import printed


@SLOW
def test_fifty_sandboxes_are_created_used_forked_and_closed(client: Client) -> None:
    def life(number: int) -> str:
        with Sandbox(client=client) as parent:
            printed(parent, f"number = {number}; open('/root/number', 'w').write(str(number))")
            [child] = parent.fork()
            printed(child, "number += 1000")
            parent.merge_into(child)
            child.close()
            return printed(parent, "print(number, open('/root/number').read())")

    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(life, range(50)))
    assert results == [f"{number + 1000} {number}" for number in range(50)]


@SLOW
def test_fifty_sandboxes_live_side_by_side(client: Client) -> None:
    with ThreadPoolExecutor(10) as threads:
        sandboxes = list(threads.map(lambda _: Sandbox(client=client), range(50)))
        list(threads.map(lambda pair: printed(pair[1], f"number = {pair[0]}"), enumerate(sandboxes)))
        results = list(threads.map(lambda sandbox: printed(sandbox, "print(number)"), sandboxes))
        list(threads.map(Sandbox.close, sandboxes))
    assert results == [str(number) for number in range(50)]
