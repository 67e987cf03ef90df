"""Spaces without a clock that can be moved: what any server can be asked."""

from .wire import Wire


def test_a_space_that_never_was_is_not_found(wire: Wire) -> None:
    assert wire.post("/v1/spaces/spc_0/resume").status_code == 404
    assert wire.http.delete("/v1/spaces/spc_0").status_code == 404


def test_limits_of_time_are_taken_as_they_come(wire: Wire) -> None:
    sandbox = wire.create(timeout_seconds=10**9, idle_timeout_seconds=10**9, persistent=True, region="eu")
    assert wire.events(sandbox, "print(1)")[0]["data"] == "1"
