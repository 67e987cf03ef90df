"""The servers of a session, and the choice of one for each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_podflare.targets.emulator import EmulatorTarget
from pytest_podflare.targets.remote import RemoteTarget

if TYPE_CHECKING:
    from pytest_podflare.options import Options
    from pytest_podflare.scopes import Scope, Setups
    from pytest_podflare.targets.target import Target


class Targets:
    """The servers of a session: the emulator, a real API, or both if a test runs on both."""

    def __init__(self, options: Options, setups: Setups, *, both: bool) -> None:
        self._scopes: list[Target] = []  # may end in any order
        self._node: Any = None
        self._url = options.url
        self._targets: dict[str, Target] = {}
        if options.url:
            self._targets["real"] = RemoteTarget(options, setups)
        if both or not options.url:
            self._targets["emulator"] = EmulatorTarget(options, setups)

    @property
    def of_a_scope(self) -> Target | None:
        """The target of fixtures of a wider scope, while there are any."""
        return self._scopes[-1] if self._scopes else None

    def launch(self) -> None:
        """Begins their start without waiting."""
        for target in self._targets.values():
            target.launch()

    def start(self) -> None:
        """Starts those that do not serve: a previous start may have failed, or a test may have killed them."""
        for target in self._targets.values():
            target.start()

    def stop(self) -> None:
        for target in self._targets.values():
            if target.is_lost:
                with suppress(Exception, pytest.fail.Exception):
                    target.start()  # a new server removes what the lost one left behind
            target.stop()

    def tell_loss(self) -> str:
        return "\n".join(filter(None, (target.tell_loss() for target in self._targets.values())))

    @property
    def taken(self) -> str:
        """The emulator's isolation, as in `Target`."""
        emulator = self._targets.get("emulator")
        return emulator.taken if emulator else ""

    @contextmanager
    def serving_scope(
        self, target: Target, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        """As in `Target`. Meanwhile, tests without their own fixture use it too."""
        self._scopes.append(target)
        try:
            with target.serving_scope(scope, stubs, commands):
                yield
        finally:
            self._scopes.remove(target)

    def forget_endings(self, node: Any) -> None:
        """As in `Target`. `node`: the class or module of the test that is about to begin."""
        wider, self._node = node is not self._node, node
        for target in self._targets.values():
            target.forget_endings(wider=wider)

    def choose(self, wish: str | None, where: str | None) -> Target:
        """The target for a test with this `target` in its marker; skips the test if that is not available.

        `where`: the one to run on, for a test that runs on both.
        """
        if where:
            return self._targets[where]
        if wish == "real" and not self._url:
            pytest.skip("only for a real API: give --podflare-url URL")
        if wish == "emulator" and self._url:
            pytest.skip(f"only for the emulator, but the tests run against {self._url}")
        return self._targets["real" if self._url else "emulator"]
