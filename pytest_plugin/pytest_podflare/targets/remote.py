"""A remote server as the target of a session's tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest

from podflare_emulator.handle.clients.origins import Origins
from podflare_emulator.handle.clients.overlap import overlapping
from podflare_emulator.handle.clients.redirect import import_sdk, redirect_clients
from podflare_emulator.handle.clients.watch import sandbox_classes
from pytest_podflare import leaks
from pytest_podflare.targets.sdk import create_async_client, create_sandbox, the_sdk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from podflare_emulator.handle.emulator import Emulator
    from pytest_podflare.marker import Wishes
    from pytest_podflare.options import Options
    from pytest_podflare.scopes import Scope, Setups


class RemoteTarget:
    def __init__(self, options: Options, setups: Setups) -> None:
        assert options.url is not None
        self._setups = setups
        self.kept = set[str]()
        self.taken = ""
        self.is_lost = False
        self.egress = True
        self.echo = False  # unknown for a remote server
        self._default_egress = options.egress
        self._url = options.url
        self._api_key = options.api_key
        self._leaks = options.leaks

    @property
    def emulator(self) -> Emulator:
        pytest.skip(f"only the emulator can do this, but the tests run against {self._url}")

    def launch(self) -> None:
        import_sdk()

    def start(self) -> None:
        import_sdk()

    def tell_loss(self) -> str:
        return ""

    def stop(self) -> None:
        pass

    @contextmanager
    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        if wishes.files or wishes.env or wishes.stubs or wishes.commands:
            pytest.skip(
                f"only the emulator takes files, variables and stubs, but the tests run against {self._url}"
            )
        if wishes.faults or wishes.latency:
            pytest.skip(f"only the emulator injects faults and delays, but the tests run against {self._url}")
        if wishes.reachable:
            pytest.skip(
                f"only the emulator's sandboxes reach this machine, but the tests run against {self._url}"
            )
        if wishes.clock not in (None, "real"):
            pytest.skip(f"only the emulator's clock can be moved, but the tests run against {self._url}")
        self.egress = self._default_egress if wishes.egress is None else wishes.egress
        origins = Origins()
        with overlapping(partial(self._redirecting_clients, origins)), self._noting_setups(origins):
            yield
            leaks.close_tools(set(origins.made) - self._lasting, self.without_faults())
        left_open = [name for name in origins.left_open if name not in self._lasting and self._destroy(name)]
        leaks.report([(name, origins.of(name)) for name in left_open], wishes.leaks or self._leaks)

    def serving_scope(
        self, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        return overlapping(partial(redirect_clients, self._url, self._api_key))

    @contextmanager
    def _redirecting_clients(self, origins: Origins) -> Iterator[None]:
        sandboxes = sandbox_classes(import_sdk())
        with ExitStack() as inside:
            inside.enter_context(redirect_clients(self._url, self._api_key))
            if not self.egress:
                for sandbox in sandboxes:
                    inside.enter_context(_without_egress(sandbox))
            inside.enter_context(origins.recording(*sandboxes))
            yield

    @contextmanager
    def _noting_setups(self, origins: Origins) -> Iterator[None]:
        """Inside, `Setups` sees what fixtures of wider scopes make that the running test asks for."""
        before, self._setups.made = self._setups.made, lambda: origins.made
        try:
            yield
        finally:
            self._setups.made = before

    @property
    def _lasting(self) -> set[str]:
        """Ids of what the running test has brought about, and later ones use."""
        return self.kept | self._setups.scopes.keys()

    def _destroy(self, name: str) -> bool:
        """Destroys it; returns whether it existed: it may be another server's, or have ended at its time limit."""
        import httpx  # installed with the SDK that has made it

        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else None
        try:
            answer = httpx.delete(f"{self._url.rstrip('/')}/v1/sandboxes/{name}", headers=headers)
            if answer.status_code == 404:
                return False
            answer.raise_for_status()
        except httpx.HTTPError as error:
            warnings.warn(
                leaks.SandboxLeakWarning(f"sandbox {name} was left open and could not be destroyed: {error}"),
                stacklevel=1,
            )
        return True

    def forget_endings(self, *, wider: bool) -> None:
        pass

    def close(self, sandbox: Any) -> None:
        sandbox.close()

    def preparing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def expect_forks(self, sandbox: Any) -> None:
        pass

    def without_faults(self) -> AbstractContextManager[None]:
        return nullcontext()

    def last(self) -> tuple[str, str]:
        return "", ""

    def describe(self) -> str:
        return ""

    def journal(self) -> str:
        return ""

    def log(self) -> str:
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return create_sandbox(self._url, self._api_key, settings)

    def create_client(self) -> Any:
        return the_sdk().Client(host=self._url, api_key=self._api_key)

    def create_async_client(self) -> Any:
        return create_async_client(self._url, self._api_key)


@contextmanager
def _without_egress(sandbox: type[Any]) -> Iterator[None]:
    """Inside, what is made by this SDK's class has none, whatever is asked for."""
    create = sandbox.__init__

    @wraps(create)
    def creating(self: Any, *args: Any, **settings: Any) -> None:
        create(self, *args, **{**settings, "egress": False})

    sandbox.__init__ = creating
    try:
        yield
    finally:
        sandbox.__init__ = create
