"""What the tests of a session run against: the emulator, or a server somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from podflare_emulator.emulator import Emulator
from podflare_emulator.errors import EmulatorError
from podflare_emulator.redirect import import_sdk, redirect_clients
from pytest_podflare import leaks

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_podflare.marker import Wishes
    from pytest_podflare.options import Options


class Target(Protocol):
    kept: set[str]
    """Ids of sandboxes that outlive the test that made them."""

    @property
    def emulator(self) -> Emulator:
        """Skips the test where there is none."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def serving_one_test(self, wishes: Wishes) -> AbstractContextManager[None]:
        """Inside, clients of this process find it; afterwards they do not, and the test's sandboxes are gone."""
        ...

    def create_lasting_sandbox(self) -> Any:
        """As `create_sandbox`, for one that outlives the test in which it is made, and has nothing of that test's."""
        ...

    def journal(self) -> str:
        """What the running test's sandboxes have done; empty where nobody knows."""
        ...

    def create_sandbox(self, **settings: Any) -> Any:
        """A `Sandbox` of the installed SDK."""
        ...

    def create_client(self) -> Any:
        """A `Client` of the installed SDK."""
        ...


class EmulatorTarget:
    def __init__(self, options: Options) -> None:
        self.kept = set[str]()
        self._leaks = options.leaks
        self._emulator = Emulator(server=options.server, isolation=options.isolation, python=options.python)

    @property
    def emulator(self) -> Emulator:
        return self._emulator

    def start(self) -> None:
        import_sdk()  # before a test's patches; see redirect
        try:
            self.emulator.start()
        except EmulatorError as error:
            pytest.fail(
                f"the Podflare emulator cannot start: {error}\n`podflare-emulator doctor` tells more",
                pytrace=False,
            )
        self.emulator.exempt_from_patchers()

    def stop(self) -> None:
        self.emulator.stop()

    @contextmanager
    def serving_one_test(self, wishes: Wishes) -> Iterator[None]:
        self.emulator.exempt_from_patchers()
        try:
            if wishes.files:
                self.emulator.files.update(wishes.files)
            for match, answer in wishes.stubs.items():
                self.emulator.stub(match, **(answer if isinstance(answer, Mapping) else {"stdout": answer}))
            with self.emulator.redirect_clients():
                yield
        finally:
            left_open = self.emulator.reset(keep=self.kept)
        leaks.report([(name, self.emulator.origin(name)) for name in left_open], wishes.leaks or self._leaks)

    def create_lasting_sandbox(self) -> Any:
        with self.emulator.files.set_aside(), self.emulator.lasting_ids():
            return self.create_sandbox()

    def journal(self) -> str:
        with suppress(EmulatorError):  # it may be what the test has wrecked
            return self.emulator.report()
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return _create_sandbox(self.emulator.url, None, settings)

    def create_client(self) -> Any:
        return _sdk().Client(host=self.emulator.url)


class RemoteTarget:
    def __init__(self, options: Options) -> None:
        assert options.url is not None
        self.kept = set[str]()
        self._url = options.url
        self._api_key = options.api_key

    @property
    def emulator(self) -> Emulator:
        pytest.skip(f"only the emulator can do this, and the tests run against {self._url}")

    def start(self) -> None:
        import_sdk()

    def stop(self) -> None:
        pass

    @contextmanager
    def serving_one_test(self, wishes: Wishes) -> Iterator[None]:
        if wishes.files or wishes.stubs:
            pytest.skip(f"only the emulator takes files and stubs, and the tests run against {self._url}")
        with redirect_clients(self._url, self._api_key):
            yield

    def create_lasting_sandbox(self) -> Any:
        return self.create_sandbox()

    def journal(self) -> str:
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return _create_sandbox(self._url, self._api_key, settings)

    def create_client(self) -> Any:
        return _sdk().Client(host=self._url, api_key=self._api_key)


def _create_sandbox(url: str, api_key: str | None, settings: dict[str, Any]) -> Any:
    if "client" not in settings:  # which has its own
        settings = {"host": url, "api_key": api_key, **settings}
    return _sdk().Sandbox(**settings)


def _sdk() -> Any:
    sdk = import_sdk()
    if sdk is None:
        pytest.fail("this fixture needs a Podflare SDK; install one: pip install podflare", pytrace=False)
    return sdk
