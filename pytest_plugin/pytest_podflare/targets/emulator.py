"""The emulator as the target of a session's tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

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
    """A reset in the middle of a test forgets only what the test has arranged, not what the session has."""

    def __init__(self, setups: Setups, **settings: Any) -> None:
        super().__init__(**settings)
        self.kept = set[str]()
        self._setups = setups
        self.arrange_again: Callable[[], None] | None = None

    def _reset(self, keep: Collection[str], *, remember: bool = False) -> list[str]:
        destroyed = super()._reset({*keep, *self.kept, *self._setups.scopes}, remember=remember)
        if self.arrange_again:
            self.arrange_again()
        return destroyed

    def end_test(self) -> list[str]:
        """Resets; the test's journal and log remain available until the next test has ended."""
        return self._reset((), remember=True)

    def last_report(self) -> tuple[str, str]:
        """Journal and log of the last test that has ended."""
        return self._last_report()

    def forget_lost(self) -> None:
        """Forgets the sandboxes of a killed server. The next one takes over its port, which clients know."""
        self.kept.clear()
        self._setups.scopes.clear()
        self.settings = replace(self.settings, port=self._started.port if self._started else 0)

    def _before_time_moves(self) -> None:
        lasting = {*self.kept, *self._setups.scopes}
        if lasting:
            self._call("exempt_from_lifetimes", sandboxes=[*lasting])

    def forget_requests(self) -> None:
        """Empties the journal, if there is anything in it. Destroys nothing."""
        with suppress(EmulatorError):
            if self._call("requests"):
                self.reset(keep=[one["sandbox"] for one in self._call("sandboxes")])

    def made(self) -> list[str]:
        """Ids of the sandboxes that clients in this process have made."""
        return self._origins.made


AFTER_A_LOSS = (
    "The next test that needs one gets a new server; sandboxes of fixtures of wider scopes are gone."
)


class EmulatorTarget:
    def __init__(self, options: Options, setups: Setups) -> None:
        self._setups = setups
        self._quiet = Quiet()
        self._state: Literal["stopped", "launched", "serves"] = "stopped"
        self._has_forgotten = False  # a server was killed, and its arrangements are to be made again
        self._has_told = False  # the loss of the server was reported
        self._has_ended_a_test = False  # and nothing was arranged since
        self.taken = ""
        # What each scope arranges for all tests. They may end in any order, as a running test can ask for one.
        self._scopes: list[partial[None]] = []
        self.egress = True
        self._default_egress = options.egress
        self.echo = self._default_echo = options.echo_last_expression
        self._leaks = options.leaks
        self._in_thread = options.server == "thread"
        self._log = options.log
        self._emulator = SessionEmulator(
            setups,
            server=options.server,
            isolation=options.isolation,
            fork=options.fork,
            fork_files=options.fork_files,
            rootfs=options.rootfs,
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

    @property
    def is_lost(self) -> bool:
        return self.emulator.is_lost

    def launch(self) -> None:
        self._quiet.begin()
        with self._undone_if_it_fails():
            if self._in_thread:
                import_sdk()  # not in parallel with the server's imports: two importing threads can deadlock
            self.emulator.launch()
            self._state = "launched"
            import_sdk()  # while it starts, and before a test patches anything; see redirect

    def start(self) -> None:
        if self.is_lost:
            self._emulator.forget_lost()
            self.stop()
            self._has_forgotten = True
        if self._state == "serves":
            return
        if self._state == "stopped":
            self.launch()
        with self._undone_if_it_fails():
            self.emulator.start()
        self._state = "serves"
        self.taken = self.emulator.describe_isolation()
        self.emulator.exempt_from_patchers()
        self._setups.made = self._emulator.made
        pass_mocks(self.emulator.url)
        if self._has_forgotten and (between_tests := self._between_tests):
            between_tests()
        self._has_forgotten = self._has_told = False

    @contextmanager
    def _undone_if_it_fails(self) -> Iterator[None]:
        """Stops everything on failure, so that the next test starts afresh."""
        try:
            yield
        except BaseException as error:
            self.stop()
            self._emulator.settings = replace(self._emulator.settings, port=0)  # its port may be taken
            if isinstance(error, EmulatorError):
                raise _failure(
                    f"the Podflare emulator cannot start: {error}\nrun `podflare-emulator doctor` for details"
                ) from None
            raise

    def stop(self) -> None:
        if self._state == "serves":
            forget(self.emulator.url)
        self.emulator.stop()
        self._state = "stopped"
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
            self._arrange_within(self._between_tests, stubs, commands, ())
            self._arrange(wishes)
            with self.emulator.redirect_clients():
                yield
        finally:
            self._emulator.arrange_again = self._between_tests
            self.egress, self.echo = self._default_egress, self._default_echo
            self._close_tools()
            left_open = self._reset(remember=True)  # reports a failing teardown only once they are gone
            self._has_ended_a_test = True
        self._report(left_open, wishes.leaks or self._leaks)

    @contextmanager
    def serving_scope(
        self, scope: Scope, stubs: Mapping[Any, Any], commands: Mapping[str, Any]
    ) -> Iterator[None]:
        self.emulator.exempt_from_patchers()
        outer, ours = self._between_tests, partial(self._arrange_for_all, stubs, commands)
        earlier = frozenset(self._emulator.made())
        self._scopes.append(ours)
        try:
            # Otherwise a running test has just requested this scope.
            if self._emulator.arrange_again is outer:
                self._emulator.arrange_again = ours
                self._arrange_within(outer, stubs, commands, earlier)  # of a fixture in progress, perhaps
            with self.emulator.redirect_clients():
                yield
        finally:
            self._scopes.remove(ours)
            self._emulator.arrange_again = self._between_tests
            self._setups.end(scope, earlier)
            self._close_tools()
            left_open = [] if self._has_told else self._reset()
        self._report(left_open, self._leaks)

    @property
    def _between_tests(self) -> partial[None] | None:
        return self._scopes[-1] if self._scopes else None

    def _reset(self, *, remember: bool = False) -> list[str]:
        """Returns the ids of sandboxes left open; fails a test that has killed the server. `remember`: for `last`."""
        try:
            return self._emulator.end_test() if remember else self._emulator.reset()
        except EmulatorError as error:
            if not self.is_lost:
                raise
            self._has_told = True
            raise _failure(f"{error}\n{AFTER_A_LOSS}") from None

    def tell_loss(self) -> str:
        if self._has_told or not self.is_lost:
            return ""
        self._has_told = True
        return f"the Podflare emulator's server has ended during this test; do not kill it.\n{AFTER_A_LOSS}"

    def forget_endings(self, *, wider: bool) -> None:
        has_ended, self._has_ended_a_test = self._has_ended_a_test, False
        if wider and has_ended and self._state == "serves" and not self.is_lost:
            self._emulator.forget_requests()

    def _close_tools(self) -> None:
        made = set(self._emulator.made()) - self.kept - self._setups.scopes.keys()
        leaks.close_tools(made, self.emulator.without_faults())

    def _report(self, left_open: list[str], policy: Any) -> None:
        leaks.report([(name, self.emulator.origin(name)) for name in left_open], policy)

    def _arrange_within(
        self,
        outer: partial[None] | None,
        stubs: Mapping[Any, Any],
        commands: Mapping[str, Any],
        keep: Collection[str],
    ) -> None:
        """As `_arrange_for_all`, where what `outer` has arranged stands: its stubs would answer beside these."""
        if outer and outer.args[0] is stubs and outer.args[1] is commands:
            self._arrange_network_and_log()
        elif outer and any(outer.args):
            self._emulator.reset(keep)  # arranges these instead
        else:
            self._arrange_for_all(stubs, commands)

    def _arrange_for_all(self, stubs: Mapping[Any, Any], commands: Mapping[str, Any]) -> None:
        self._arrange_network_and_log()
        self._stub("fixture podflare_stubs", self.emulator.stub, stubs, default=True)
        self._stub("fixture podflare_commands", self.emulator.stub_command, commands, default=True)

    def _arrange_network_and_log(self) -> None:
        if self._log != "off":
            self.emulator.keep_log(self._log)
        if not self.egress:
            self._cut_off()
        elif self._scopes and not self._default_egress:
            self.emulator.egress = True
        if self.echo != self.emulator.echo_last_expression:
            self.emulator.echo_last_expression = self.echo

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
                "and a test that relies on it must not pass by luck; `podflare-emulator doctor` says what "
                "namespace isolation lacks here"
            ) from None

    def close(self, sandbox: Any) -> None:
        if not self.is_lost:
            with self.without_faults():
                sandbox.close()

    @contextmanager
    def preparing(self) -> Iterator[None]:
        ours = self.emulator
        reachable = ours.reachable
        if reachable:
            ours.reachable = ()
        try:
            with ours.files.set_aside(), ours.env.set_aside(), ours.lasting_ids(), ours.only_default_stubs():
                yield
        finally:
            if reachable:
                ours.reachable = reachable

    def expect_forks(self, sandbox: Any) -> None:
        self.emulator.expect_forks(sandbox.id)

    def without_faults(self) -> AbstractContextManager[None]:
        return self.emulator.without_faults()

    def last(self) -> tuple[str, str]:
        with suppress(EmulatorError):
            journal, log = self._emulator.last_report()
            return journal, "" if self._log == "off" else log
        return "", ""

    def describe(self) -> str:
        with suppress(EmulatorError):
            return self.emulator.describe()
        return ""

    def journal(self) -> str:
        with suppress(EmulatorError):  # the test may have broken the server itself
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
    """An exception that fails the test with only this message."""
    return pytest.fail.Exception(message, pytrace=False)


def _entries(where: str, stubs: Mapping[Any, Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The stubbed code or command, and the arguments of its stub."""
    if not isinstance(stubs, Mapping):
        raise _failure(f"{where}: expected a dict such as {{'pip': 'Done'}}, got {stubs!r}")
    for stubbed, answer in stubs.items():
        if isinstance(answer, Mapping):
            yield stubbed, answer
        else:
            yield stubbed, {"answer" if callable(answer) else "stdout": answer}
