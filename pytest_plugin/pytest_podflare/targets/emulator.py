"""The emulator as what the tests of a session run against."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from podflare_emulator.handle.clients.redirect import import_sdk
from podflare_emulator.handle.emulator import Emulator
from podflare_emulator.vocabulary.arguments import signature_mismatch
from podflare_emulator.vocabulary.errors import EmulatorError
from pytest_podflare import leaks
from pytest_podflare.marker import NAME
from pytest_podflare.targets.sdk import create_sandbox, the_sdk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_podflare.marker import Wishes
    from pytest_podflare.options import Options


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
        try:
            self.emulator.launch()
            import_sdk()  # while it starts, and before a test's patches; see redirect
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
        return create_sandbox(self.emulator.url, None, settings)

    def create_client(self) -> Any:
        return the_sdk().Client(host=self.emulator.url)


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
