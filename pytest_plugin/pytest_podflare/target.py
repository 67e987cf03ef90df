"""What the tests of a session run against: the emulator, or a server somewhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from podflare_emulator.emulator import Emulator
from podflare_emulator.errors import EmulatorError
from podflare_emulator.fitting import misfit
from podflare_emulator.origins import Origins
from podflare_emulator.redirect import import_sdk, redirect_clients
from pytest_podflare import leaks
from pytest_podflare.marker import NAME

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_podflare.marker import Wishes
    from pytest_podflare.options import Options


class Target(Protocol):
    kept: set[str]
    """Ids of sandboxes that outlive the test that made them."""
    egress: bool
    """Whether the sandboxes of the running test may reach the network."""

    @property
    def emulator(self) -> Emulator:
        """Skips the test where there is none."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> AbstractContextManager[None]:
        """Inside, clients of this process find it; afterwards they do not, and the test's sandboxes are gone.

        `stubs` and `commands` are the defaults, to the test's own in `wishes`.
        """
        ...

    def create_lasting_sandbox(self) -> Any:
        """As `create_sandbox`, for one that outlives the test in which it is made, and has nothing of that test's."""
        ...

    def without_faults(self) -> AbstractContextManager[None]:
        """Inside, what the running test lets go wrong does not: for what its fixtures do themselves."""
        ...

    def only_default_stubs(self) -> AbstractContextManager[None]:
        """Inside, what the running test stubs for itself is not stubbed."""
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


class Targets:
    """The servers of a session: the emulator, a real API, or, with a test that is to run on both, the two."""

    def __init__(self, options: Options, *, both: bool) -> None:
        self._url = options.url
        self._targets: dict[str, Target] = {}
        if options.url:
            self._targets["real"] = RemoteTarget(options)
        if both or not options.url:
            self._targets["emulator"] = EmulatorTarget(options)

    def start(self) -> None:
        for target in self._targets.values():
            target.start()

    def stop(self) -> None:
        for target in self._targets.values():
            target.stop()

    def choose(self, wish: str | None, where: str | None) -> Target:
        """For a test whose marker says `wish`; `where`, if it runs on both. Skips it if that is not to be had."""
        if where:
            return self._targets[where]
        if wish == "real" and not self._url:
            pytest.skip("only for a real API: give --podflare-url URL")
        if wish == "emulator" and self._url:
            pytest.skip(f"only for the emulator, and the tests run against {self._url}")
        return self._targets["real" if self._url else "emulator"]


class SessionEmulator(Emulator):
    """A reset in the middle of a test forgets what the test has arranged, and not what the session has."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept = set[str]()
        self.arrange_again: Callable[[], None] | None = None

    def reset(self, keep: Collection[str] = ()) -> list[str]:
        destroyed = super().reset({*keep, *self.kept})
        if self.arrange_again:
            self.arrange_again()
        return destroyed


class EmulatorTarget:
    def __init__(self, options: Options) -> None:
        self.egress = True
        self._default_egress = options.egress
        self._leaks = options.leaks
        self._log = options.log
        self._emulator = SessionEmulator(
            server=options.server,
            isolation=options.isolation,
            fork_engine=options.fork,
            python=options.python,
            profile=options.profile,
            seed=options.seed,
        )
        self.kept = self._emulator.kept

    @property
    def emulator(self) -> Emulator:
        return self._emulator

    def start(self) -> None:
        import_sdk()  # before a test's patches; see redirect
        try:
            self.emulator.start()
        except EmulatorError as error:
            raise _failure(
                f"the Podflare emulator cannot start: {error}\n`podflare-emulator doctor` tells more"
            ) from None
        self.emulator.exempt_from_patchers()

    def stop(self) -> None:
        self.emulator.stop()

    @contextmanager
    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        self.emulator.exempt_from_patchers()
        self.egress = self._default_egress if wishes.egress is None else wishes.egress
        self._emulator.arrange_again = partial(self._arrange_for_all, stubs, commands)
        try:
            self._arrange_for_all(stubs, commands)
            self._arrange(wishes)
            with self.emulator.redirect_clients():
                yield
        finally:
            self._emulator.arrange_again = None
            left_open = self.emulator.reset()
        leaks.report([(name, self.emulator.origin(name)) for name in left_open], wishes.leaks or self._leaks)

    def _arrange_for_all(self, stubs: Mapping[Any, Any], commands: Mapping[str, Any]) -> None:
        if self._log != "off":
            self.emulator.keep_log(self._log)
        if not self.egress:
            self._cut_off()
        self._stub("fixture podflare_stubs", self.emulator.stub, stubs, default=True)
        self._stub("fixture podflare_commands", self.emulator.stub_command, commands, default=True)

    def _arrange(self, wishes: Wishes) -> None:
        try:
            if wishes.files:
                self.emulator.files.update(wishes.files)
            if wishes.faults or wishes.latency:
                from pytest_podflare.faults import arrange

                arrange(self.emulator, wishes.faults, wishes.latency)
        except EmulatorError as error:
            raise _failure(f"@pytest.mark.{NAME}: {error}") from None
        self._stub(f"@pytest.mark.{NAME}: stubs", self.emulator.stub, wishes.stubs)
        self._stub(f"@pytest.mark.{NAME}: commands", self.emulator.stub_command, wishes.commands)

    def _stub(
        self, where: str, stub: Callable[..., object], answers: Mapping[Any, Any], default: bool = False
    ) -> None:
        for stubbed, answer in _entries(where, answers):
            arguments = {"default": default, **answer}
            mistake = misfit(stub, stubbed, **arguments)
            try:
                if mistake:
                    raise EmulatorError(mistake)
                stub(stubbed, **arguments)
            except EmulatorError as error:
                raise _failure(f"{where}: {stubbed!r}: {error}") from None

    def _cut_off(self) -> None:
        try:
            self.emulator.egress = False
        except EmulatorError:
            raise _failure(
                f"egress: the sandboxes cannot be kept off the network under {self.emulator.isolation} isolation, "
                "and a test that relies on it must not pass by luck; `podflare-emulator doctor` tells what "
                "namespace isolation lacks here"
            ) from None

    def create_lasting_sandbox(self) -> Any:
        with self.emulator.files.set_aside(), self.emulator.lasting_ids():
            return self.create_sandbox()

    def without_faults(self) -> AbstractContextManager[None]:
        return self.emulator.without_faults()

    def only_default_stubs(self) -> AbstractContextManager[None]:
        return self.emulator.only_default_stubs()

    def journal(self) -> str:
        with suppress(EmulatorError):  # it may be what the test has wrecked
            return self.emulator.report()
        return ""

    def log(self) -> str:
        with suppress(EmulatorError):
            return "\n".join(self.emulator.log)
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return _create_sandbox(self.emulator.url, None, settings)

    def create_client(self) -> Any:
        return _sdk().Client(host=self.emulator.url)


class RemoteTarget:
    def __init__(self, options: Options) -> None:
        assert options.url is not None
        self.kept = set[str]()
        self.egress = True
        self._default_egress = options.egress
        self._url = options.url
        self._api_key = options.api_key
        self._leaks = options.leaks

    @property
    def emulator(self) -> Emulator:
        pytest.skip(f"only the emulator can do this, and the tests run against {self._url}")

    def start(self) -> None:
        import_sdk()

    def stop(self) -> None:
        pass

    @contextmanager
    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        if wishes.files or wishes.stubs or wishes.commands:
            pytest.skip(f"only the emulator takes files and stubs, and the tests run against {self._url}")
        if wishes.faults or wishes.latency:
            pytest.skip(
                f"only the emulator fails and is slow on demand, and the tests run against {self._url}"
            )
        self.egress = self._default_egress if wishes.egress is None else wishes.egress
        origins, sdk = Origins(), import_sdk()
        with ExitStack() as inside:
            inside.enter_context(redirect_clients(self._url, self._api_key))
            if sdk and not self.egress:
                inside.enter_context(_without_egress(sdk.Sandbox))
            if sdk:
                inside.enter_context(origins.recording(sdk.Sandbox))
            yield
        left_open = [name for name in origins.left_open if name not in self.kept and self._destroy(name)]
        leaks.report([(name, origins.of(name)) for name in left_open], wishes.leaks or self._leaks)

    def _destroy(self, name: str) -> bool:
        """Whether it was there: it may be another server's, or have ended by its time limit."""
        import httpx  # which the SDK that has made it brings along

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

    def create_lasting_sandbox(self) -> Any:
        return self.create_sandbox()

    def without_faults(self) -> AbstractContextManager[None]:
        return nullcontext()

    def only_default_stubs(self) -> AbstractContextManager[None]:
        return nullcontext()

    def journal(self) -> str:
        return ""

    def log(self) -> str:
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return _create_sandbox(self._url, self._api_key, settings)

    def create_client(self) -> Any:
        return _sdk().Client(host=self._url, api_key=self._api_key)


def _failure(message: str) -> BaseException:
    """To be raised: fails the test with these words alone."""
    return pytest.fail.Exception(message, pytrace=False)


def _entries(where: str, stubs: Mapping[Any, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """What is stubbed, and the arguments that say how."""
    if not isinstance(stubs, Mapping):
        raise _failure(f"{where}: expected a dict such as {{'pip': 'Done'}}, got {stubs!r}")
    for stubbed, answer in stubs.items():
        if isinstance(answer, Mapping):
            yield stubbed, answer
        else:
            yield stubbed, {"answer" if callable(answer) else "stdout": answer}


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


def _create_sandbox(url: str, api_key: str | None, settings: dict[str, Any]) -> Any:
    if "client" not in settings:  # which has its own
        settings = {"host": url, "api_key": api_key, **settings}
    return _sdk().Sandbox(**settings)


def _sdk() -> Any:
    sdk = import_sdk()
    if sdk is None:
        pytest.fail("this fixture needs a Podflare SDK; install one: pip install podflare", pytrace=False)
    return sdk
