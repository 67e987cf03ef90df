"""Python's garbage collector is as it was once the plugin has imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pytest_podflare.targets.garbage import no_garbage


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()


@pytest.mark.parametrize("enabled", [True, False])
def test_it_is_off_inside_and_as_before_after(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled() is enabled


def test_what_was_made_inside_is_old_and_still_collected() -> None:
    gc.enable()
    with no_garbage():
        made: list[object] = []
        made.append(made)
    assert any(one is made for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_somebody_has_frozen_stays_so() -> None:
    gc.enable()
    gc.freeze()
    try:
        with no_garbage():
            pass
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
