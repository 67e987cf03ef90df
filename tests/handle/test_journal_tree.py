"""The tree of sandboxes: who was forked from whom, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from podflare import Sandbox, ServerError
from podflare_emulator import Emulator
from podflare_emulator.vocabulary.lineage import Tree

from ..matrix import SLOW, servers


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param, isolation="portable") as emulator:
        yield emulator


def short(sandbox: Sandbox) -> str:
    return sandbox.id[:12]


@SLOW
def test_it_is_drawn_in_text_and_for_mermaid(emulator: Emulator) -> None:
    with Sandbox() as parent, Sandbox() as other:
        parent.run_code("x = 1")
        winner, dead, closed = parent.fork(3)
        (grandchild,) = winner.fork(1)
        grandchild.run_code("1")
        grandchild.run_code("2")
        parent.merge_into(winner)
        dead.run_code("import os; os._exit(3)")
        closed.close()
        died = "died (ended by itself with exit code 3)"
        assert str(emulator.tree()).splitlines() == [
            f"{short(parent)}  open, 1 exec",
            f"├── {short(winner)}  merged into {short(parent)}, 0 execs",
            f"│   └── {short(grandchild)}  open, 2 execs",
            f"├── {short(dead)}  {died}, 1 exec",
            f"└── {short(closed)}  closed, 0 execs",
            f"{short(other)}  open, 0 execs",
        ]
        assert emulator.tree().mermaid().splitlines() == [
            "flowchart TD",
            f'    s0["{short(parent)}<br>open, 1 exec"]',
            f'    s1["{short(other)}<br>open, 0 execs"]',
            f'    s2["{short(winner)}<br>merged into {short(parent)}, 0 execs"]',
            f'    s3["{short(dead)}<br>{died}, 1 exec"]',
            f'    s4["{short(closed)}<br>closed, 0 execs"]',
            f'    s5["{short(grandchild)}<br>open, 2 execs"]',
            "    s0 --> s2",
            "    s0 --> s3",
            "    s0 --> s4",
            "    s2 --> s5",
            "    s2 -. merged .-> s0",
        ]
        dead.close()
        (life,) = [life for life in emulator.tree().sandboxes if life.sandbox == dead.id]
        assert (life.state, life.parent, life.reason) == (
            "died",
            parent.id,
            "ended by itself with exit code 3",
        )
        assert life.ended is not None
        grandchild.close()


def test_the_control_api_draws_it_too(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        response = httpx.post(f"{emulator.url}/_emulator/tree")
        assert response.json()["result"] == {
            "text": str(emulator.tree()),
            "mermaid": emulator.tree().mermaid(),
        }
        response = httpx.post(f"{emulator.url}/_emulator/sandboxes")
        (life,) = response.json()["result"]
        assert (life["sandbox"], life["state"], life["template"]) == (sandbox.id, "open", "default")


def test_after_a_reset_it_shows_a_kept_sandbox_only_once_it_is_used(emulator: Emulator) -> None:
    with Sandbox() as kept:
        kept.run_code("x = 1")
        with kept.fork(1)[0] as child:
            emulator.reset(keep=[kept.id, child.id])
            assert str(emulator.tree()) == ""
            (grandchild,) = child.fork(1)
            assert str(emulator.tree()).splitlines() == [
                f"{short(child)}  open, 0 execs",
                f"└── {short(grandchild)}  open, 0 execs",
            ]
            assert emulator.execs() == []
            grandchild.close()
            child.run_code("1")
            assert [one.parent for one in emulator.execs()] == [kept.id]


def test_a_long_chain_of_forks_is_drawn() -> None:
    tree = Tree.of(
        {
            "sandbox": f"sbx_{number:032x}",
            "parent": f"sbx_{number - 1:032x}" if number else None,
            "template": "python-datasci",
            "created": 0,
            "ended": None,
            "state": "open",
            "reason": None,
            "into": None,
            "execs": 0,
        }
        for number in range(2000)
    )
    assert str(tree).splitlines()[1] == "└── sbx_00000000  python-datasci, open, 0 execs"
    assert len(str(tree).splitlines()) == 2000


def test_the_report_has_it_on_top_when_there_was_a_fork(emulator: Emulator) -> None:
    with Sandbox() as parent:
        parent.run_code("x = 1")
        assert emulator.report().startswith(f"<{short(parent)} python: x = 1 (exit 0, ")
        (child,) = parent.fork(1)
        parent.merge_into(child)
        parent.run_code("1 / 0")
        httpx.post(f"{emulator.url}/v1/sandboxes/{parent.id}/fork", json={"n": 99})
        tree, _, told = emulator.report().partition("\n\n")
        assert tree == str(emulator.tree())
        first, fork, merge, failed, error, refused, reason = told.splitlines()
        assert first.startswith(f"<{short(parent)} python: x = 1 (exit 0, ")
        assert fork == f"fork of {short(parent)}: {short(child)}"
        assert merge == f"merge of {short(child)} into {short(parent)}"
        assert failed.startswith(f"<{short(parent)} python: 1 / 0 (exit 1, ")
        assert error == "    ZeroDivisionError: division by zero"
        assert refused.startswith(f"<fork {short(parent)} (400, ")
        assert reason == "    n: expected 1 to 32, got 99"


def test_an_exec_that_failed_is_told_once(emulator: Emulator) -> None:
    emulator.stub("train", raises="out of GPUs")
    with Sandbox() as sandbox, pytest.raises(ServerError):
        sandbox.run_code("train()")
    (line,) = emulator.report().splitlines()
    assert "python: train() (stubbed, failed: out of GPUs" in line


@SLOW
def test_the_one_exec_is_found_or_what_ran_is_told(emulator: Emulator) -> None:
    with pytest.raises(
        AssertionError, match=r"expected one exec with any code, found 0; what ran:\n  nothing"
    ):
        emulator.the_exec()
    with Sandbox() as sandbox:
        sandbox.run_code("import pandas")
        sandbox.run_code("echo pandas", "bash")
        assert emulator.the_exec(language="bash").stdout == "pandas"
        with pytest.raises(AssertionError) as none:
            emulator.the_exec(code="numpy", language="python")
        asked, first, second = str(none.value).splitlines()
        assert asked == "expected one exec with language='python', code='numpy', found 0; what ran:"
        assert "python: import pandas" in first
        assert "bash: echo pandas" in second
        with pytest.raises(AssertionError) as several:
            emulator.the_exec(code="pandas")
        assert "expected one exec with code='pandas', found 2:" in str(several.value)
