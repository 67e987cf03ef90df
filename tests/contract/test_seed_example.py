"""The SDK reference's full example, as it stands, and its smaller ones."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from podflare import Client, Event, ExecResult, Language, Sandbox
from podflare_emulator import Emulator
from podflare_emulator.vocabulary.settings import Isolation, Mount

from ..matrix import SLOW

TREE_SEARCH = Path(__file__).parent.parent / "examples" / "tree_search.py"
CSV = "col_a,col_b\n1,10\n-2,20\n4,60\n"


@SLOW
def test_the_full_example_runs_unchanged(
    backend: Isolation, own_emulator: Callable[..., Emulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "medium.csv").write_text(CSV)
    emulator = own_emulator(isolation=backend, mounts=(Mount(str(tmp_path), "/data"),))
    monkeypatch.setenv("PODFLARE_HOST", emulator.url)
    results = runpy.run_path(str(TREE_SEARCH))["results"]
    assert [result.exit_code for result in results] == [0] * 5
    mean_a, mean_b, shape, means, correlations = (result.stdout for result in results)
    assert (mean_a, mean_b, shape) == ("1.0", "30.0", "(2, 2)")
    assert means.split("\n")[:2] == ["col_a     1.0", "col_b    30.0"]
    assert correlations.startswith("col_a    1.0")
    assert (tmp_path / "medium.csv").read_text() == CSV


def test_run_code_returns_an_exec_result(sandbox: Sandbox) -> None:
    r = sandbox.run_code("print(sum(range(10)))")
    assert r.exit_code == 0
    assert r.stdout.strip() == "45"
    assert r == ExecResult(stdout="45", stderr="", exit_code=0)


def test_run_code_stream_yields_events(sandbox: Sandbox) -> None:
    language: Language = "python"
    events = list(sandbox.run_code_stream("for i in range(3): print(i)", language))
    assert all(isinstance(event, Event) for event in events)
    assert [(event.type, event.data) for event in events] == [
        ("stdout", "0"),
        ("stdout", "1"),
        ("stdout", "2"),
        ("exit", 0),
    ]


def test_sandboxes_share_a_client(client: Client) -> None:
    a, b = Sandbox(client=client), Sandbox(client=client)
    a.close()
    assert b.run_code("print('still open')").stdout == "still open"
    b.close()


def test_the_context_manager_closes_when_an_exception_is_raised(client: Client) -> None:
    with pytest.raises(ZeroDivisionError), Sandbox(client=client) as sandbox:
        _ = 1 / 0
    with Sandbox(client=client) as other:
        assert other.id != sandbox.id
