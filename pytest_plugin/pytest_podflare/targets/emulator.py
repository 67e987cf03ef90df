"""The emulator as what the tests of a session run against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from podflare_emulator.handle.clients.gate import forget, pass_mocks
from podflare_emulator.handle.clients.redirect import import_sdk
from podflare_emulator.handle.emulator import Emulator
from podflare_emulator.vocabulary.arguments import signature_mismatch
from podflare_emulator.vocabulary.errors import EmulatorError
from pytest_podflare import leaks
from pytest_podflare.marker import NAME
from pytest_podflare.targets.quiet import Quiet
from pytest_podflare.targets.sdk import create_async_client, create_sandbox, the_sdk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_podflare.marker import Wishes
    from pytest_podflare.options import Options
    from pytest_podflare.scopes import Scope, Setups


class SessionEmulator(Emulator):
    """A reset in the middle of a test forgets what the test has arranged, and not what the session has."""

    def __init__(self, setups: Setups, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept = set[str]()
        self._setups = setups
        self.arrange_again: Callable[[], None] | None = None

    def reset(self, keep: Collection[str] = ()) -> list[str]:
        destroyed = super().reset({*keep, *self.kept, *self._setups.scopes})
        if self.arrange_again:
            self.arrange_again()
        return destroyed

    def _before_time_moves(self) -> None:
        lasting = {*self.kept, *self._setups.scopes}
        if lasting:
            self._call("exempt_from_lifetimes", sandboxes=[*lasting])

    def made(self) -> list[str]:
        """Ids of what clients of this process have made."""
        return self._origins.made


class EmulatorTarget:
    def __init__(self, options: Options, setups: Setups) -> None:
        self._setups = setups
        self._quiet = Quiet()
        self.last = ("", "")
        self._between_tests: Callable[[], None] | None = None
        self._standing: tuple[Any, ...] = ()
        self.egress = True
        self._default_egress = options.egress
        self.echo = self._default_echo = options.echo_last_expression
        self._leaks = options.leaks
        self._log = options.log
        self._emulator = SessionEmulator(
            setups,
            server=options.server,
            isolation=options.isolation,
            fork=options.fork,
            fork_files=options.fork_files,
            python=options.python,
            templates=options.templates,
            egress_denied=options.egress_denied,
            echo_last_expression=options.echo_last_expression,
            profile=options.profile,
            seed=options.seed,
            network=options.network,
        )
        self.kept = self._emulator.kept

    @property
    def emulator(self) -> Emulator:
        return self._emulator

    def start(self) -> None:
        self._quiet.begin()
        try:
            self.emulator.launch()
            import_sdk()  # while it starts, and before a test's patches; see redirect
            self.emulator.start()
        except BaseException as error:
            self.emulator.stop()  # launched, perhaps: the next test begins anew
            self._quiet.end()
            if isinstance(error, EmulatorError):
                raise _failure(
                    f"the Podflare emulator cannot start: {error}\n`podflare-emulator doctor` tells more"
                ) from None
            raise
        self.emulator.exempt_from_patchers()
        self._setups.made = self._emulator.made
        pass_mocks(self.emulator.url)

    def stop(self) -> None:
        forget(self.emulator.url)
        self.emulator.stop()
        self._quiet.end()

    @contextmanager
    def serving_one_test(
        self, wishes: Wishes, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        self.emulator.exempt_from_patchers()
        self.egress = self._default_egress if wishes.egress is None else wishes.egress
        self.echo = self._default_echo if wishes.echo_last_expression is None else wishes.echo_last_expression
        self._emulator.arrange_again = partial(self._arrange_for_all, stubs, commands)
        try:
            self._arrange_for_all(stubs, commands, again=False)
            self._arrange(wishes)
            with self.emulator.redirect_clients():
                yield
        finally:
            self._emulator.arrange_again = self._between_tests
            self.egress, self.echo = self._default_egress, self._default_echo
            self.last = (self.journal(), self.log())  # a teardown that fails is told of when they are gone
            self._close_tools()
            left_open = self.emulator.reset()
        self._report(left_open, wishes.leaks or self._leaks)

    @contextmanager
    def serving_scope(
        self, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        self.emulator.exempt_from_patchers()
        outer = self._between_tests, self._standing
        self._between_tests, self._standing = (
            partial(self._arrange_for_all, stubs, commands),
            (stubs, commands),
        )
        try:
            if self._emulator.arrange_again is None or self._emulator.arrange_again is outer[0]:
                self._emulator.arrange_again = self._between_tests
                self._between_tests()  # else a test runs, and asks for this scope only now
            with self.emulator.redirect_clients():
                yield
        finally:
            self._between_tests, self._standing = outer
            self._emulator.arrange_again = self._between_tests
            self._setups.end(scope)
            self._close_tools()
            left_open = self.emulator.reset()
        self._report(left_open, self._leaks)

    def _close_tools(self) -> None:
        made = set(self._emulator.made()) - self.kept - self._setups.scopes.keys()
        leaks.close_tools(made, self.emulator.without_faults())

    def _report(self, left_open: list[str], policy: Any) -> None:
        leaks.report([(name, self.emulator.origin(name)) for name in left_open], policy)

    def _arrange_for_all(
        self, stubs: Mapping[Any, Any], commands: Mapping[str, Any], *, again: bool = True
    ) -> None:
        if self._log != "off":
            self.emulator.keep_log(self._log)
        if not self.egress:
            self._cut_off()
        elif self._standing and not self._default_egress:
            self.emulator.egress = True
        if self.echo != self.emulator.echo_last_expression:
            self.emulator.echo_last_expression = self.echo
        if self._standing and self._standing[0] is stubs and self._standing[1] is commands and not again:
            return  # they stand since the test before
        self._stub("fixture podflare_stubs", self.emulator.stub, stubs, default=True)
        self._stub("fixture podflare_commands", self.emulator.stub_command, commands, default=True)

    def _arrange(self, wishes: Wishes) -> None:
        try:
            if wishes.files:
                self.emulator.files.update(wishes.files)
            if wishes.env:
                self.emulator.env.update(wishes.env)
            if wishes.reachable:
                self.emulator.reachable = wishes.reachable
            if wishes.clock:
                self.emulator.clock.use(wishes.clock)
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
            mistake = signature_mismatch(stub, stubbed, **arguments)
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
        reachable = self.emulator.reachable
        if reachable:
            self.emulator.reachable = ()
        try:
            with self.emulator.files.set_aside(), self.emulator.env.set_aside(), self.emulator.lasting_ids():
                return self.create_sandbox()
        finally:
            if reachable:
                self.emulator.reachable = reachable

    def without_faults(self) -> AbstractContextManager[None]:
        return self.emulator.without_faults()

    def only_default_stubs(self) -> AbstractContextManager[None]:
        return self.emulator.only_default_stubs()

    def describe(self) -> str:
        with suppress(EmulatorError):
            return self.emulator.describe()
        return ""

    def journal(self) -> str:
        with suppress(EmulatorError):  # it may be what the test has wrecked
            return self.emulator.report()
        return ""

    def log(self) -> str:
        if self._log == "off":
            return ""
        with suppress(EmulatorError):
            return "\n".join(self.emulator.log)
        return ""

    def create_sandbox(self, **settings: Any) -> Any:
        return create_sandbox(self.emulator.url, None, settings)

    def create_client(self) -> Any:
        return the_sdk().Client(host=self.emulator.url)

    def create_async_client(self) -> Any:
        return create_async_client(self.emulator.url, None)


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
