"""What a test runs against, whatever it is."""

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
        """Skips the test where there is none."""
        ...

    taken: str
    """The isolation that is in use, and what better ones lack; empty where nobody knows, or it has not started."""

    @property
    def is_lost(self) -> bool:
        """Whether somebody has killed it since it started."""
        ...

    def launch(self) -> None:
        """Begins to start."""
        ...

    def start(self) -> None:
        """Returns when it serves, again if it was lost."""
        ...

    def stop(self) -> None:
        """Whatever state it is in."""
        ...

    def tell_loss(self) -> str:
        """What to say of a server that was killed, once; empty where it was not."""
        ...

    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """Inside, clients of this process find it; afterwards they do not, and the test's sandboxes are gone.

        `stubs` and `commands` are the defaults, to the test's own in `wishes`.
        """
        ...

    def serving_scope(
        self, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """As `serving_one_test`, for fixtures of a wider scope: what they make is gone afterwards."""
        ...

    def close(self, sandbox: Any) -> None:
        """Closes a fixture's sandbox, whatever the running test lets go wrong."""
        ...

    def create_lasting_sandbox(self) -> Any:
        """As `create_sandbox`, for one that outlives the test in which it is made, and has nothing of that test's."""
        ...

    def expect_forks(self, sandbox: Any) -> None:
        """Every test is to get one child of it."""
        ...

    def last(self) -> tuple[str, str]:
        """Journal and log of the test that has ended last, as they were then; empty where nobody knows."""
        ...

    def without_faults(self) -> AbstractContextManager[None]:
        """Inside, what the running test lets go wrong does not: for what its fixtures do themselves."""
        ...

    def only_default_stubs(self) -> AbstractContextManager[None]:
        """Inside, what the running test stubs for itself is not stubbed."""
        ...

    def describe(self) -> str:
        """How it runs, in a line, for the report of a test that has failed; empty where nobody knows."""
        ...

    def journal(self) -> str:
        """What the running test's sandboxes have done; empty where nobody knows."""
        ...

    def log(self) -> str:
        """What the server has logged during the running test, as far as the options want it."""
        ...

    def create_sandbox(self, **settings: Any) -> Any:
        """A `Sandbox` of the installed SDK."""
        ...

    def create_client(self) -> Any:
        """A `Client` of the installed SDK."""
        ...

    def create_async_client(self) -> Any:
        """An `AsyncClient` of the installed SDK that keeps no connection, and so belongs to no event loop."""
        ...
