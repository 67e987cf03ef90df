"""The interface of what a test runs against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from podflare_emulator.handle.emulator import Emulator
    from pytest_podflare.marker import Wishes
    from pytest_podflare.scopes import Scope


class Target(Protocol):
    kept: set[str]
    """Ids of sandboxes that outlive the test that made them."""
    egress: bool
    """Whether the sandboxes of the running test may reach the network."""
    echo: bool
    """Whether they print a last line that is an expression."""

    @property
    def emulator(self) -> Emulator:
        """The emulator; skips the test if there is none."""
        ...

    taken: str
    """The isolation in use, and what better ones lack; empty if that is unknown, or before the start."""

    @property
    def is_lost(self) -> bool:
        """Whether it was killed since it started."""
        ...

    def launch(self) -> None:
        """Begins the start without waiting."""
        ...

    def start(self) -> None:
        """Returns when it serves; restarts it if it was lost."""
        ...

    def stop(self) -> None:
        """Stops it, whatever state it is in."""
        ...

    def tell_loss(self) -> str:
        """The message about a killed server, returned once; otherwise empty."""
        ...

    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """Inside, clients in this process find it; afterwards they do not, and the test's sandboxes are gone.

        `stubs` and `commands` are defaults, in addition to the test's own in `wishes`.
        """
        ...

    def serving_scope(
        self, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """As `serving_one_test`, for fixtures of a wider scope: their sandboxes are gone afterwards."""
        ...

    def forget_endings(self, *, wider: bool) -> None:
        """Call it before each test: what wider scopes did when they ended is not to be in its journal.

        `wider`: whether any may have ended since the test before.
        """
        ...

    def close(self, sandbox: Any) -> None:
        """Closes a fixture's sandbox, unaffected by faults of the running test."""
        ...

    def preparing(self) -> AbstractContextManager[None]:
        """Inside, sandboxes are made that outlive the running test, and have and meet none of its settings."""
        ...

    def expect_forks(self, sandbox: Any) -> None:
        """Prepares for forks: every test is to get one child of it."""
        ...

    def last(self) -> tuple[str, str]:
        """Journal and log of the last test that has ended, as they were then; empty if unknown."""
        ...

    def without_faults(self) -> AbstractContextManager[None]:
        """Inside, the running test's faults are off, for calls that its fixtures make."""
        ...

    def describe(self) -> str:
        """Describes in one line how it runs, for the report of a failed test; empty if unknown."""
        ...

    def journal(self) -> str:
        """What the running test's sandboxes have done; empty if unknown."""
        ...

    def log(self) -> str:
        """The server's log during the running test, as far as the options ask for it."""
        ...

    def create_sandbox(self, **settings: Any) -> Any:
        """A `Sandbox` of the installed SDK."""
        ...

    def create_client(self) -> Any:
        """A `Client` of the installed SDK."""
        ...

    def create_async_client(self) -> Any:
        """An `AsyncClient` of the installed SDK that keeps no connection, so that it belongs to no event loop."""
        ...
