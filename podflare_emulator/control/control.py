"""What a test may do to the emulator and no client of the service can.

Arguments and results are JSON values: the control API offers each call to tests in other languages, and to the handle
of a server in another process.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection
from typing import Any, Protocol

from podflare_emulator.control.fault_calls import Door, FaultControl
from podflare_emulator.control.inspection_calls import InspectionControl
from podflare_emulator.control.kept_log import LEVELS, KeptLog
from podflare_emulator.control.stub_calls import StubControl
from podflare_emulator.control.time_calls import TimeControl
from podflare_emulator.domain.registry import SandboxRegistry
from podflare_emulator.domain.testing.faults import Faults
from podflare_emulator.vocabulary.arguments import check_kind, check_texts
from podflare_emulator.vocabulary.errors import SettingsError
from podflare_emulator.vocabulary.kinds import addresses as checked_addresses
from podflare_emulator.vocabulary.kinds import variables
from podflare_emulator.vocabulary.lineage import Tree
from podflare_emulator.vocabulary.mounts import sandbox_path
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest
from podflare_emulator.vocabulary.settings import Settings


class Requests(Protocol):
    """The requests of clients, as `api` records them."""

    def described(self) -> list[dict[str, Any]]: ...

    def clear(self) -> None: ...


class Control(FaultControl, StubControl, InspectionControl, TimeControl):
    def __init__(
        self, registry: SandboxRegistry, requests: Requests, faults: Faults, door: Door, settings: Settings
    ) -> None:
        FaultControl.__init__(self, faults, door)
        StubControl.__init__(self, registry.stubs, registry.commands)
        InspectionControl.__init__(self, registry)
        TimeControl.__init__(self, registry)
        self._settings = settings
        self._kept_log = KeptLog()
        self._requests = requests
        self._remembered: dict[str, list[Any]] = {}

    def close(self) -> None:
        """The server ends: restores the process-wide state."""
        self._kept_log.drop()
        self._faults.clear()

    async def reset(self, keep: Collection[str] = (), remember: bool = False) -> list[str]:
        """Destroys every sandbox but those to `keep`; returns the ids of the destroyed, oldest first.

        Everything that was arranged since the start is forgotten, and so is the journal; the settings stay. With
        `remember`, `remembered` returns the journal up to now, until the next such reset.
        """
        check_texts(keep=keep)
        check_kind(bool, remember=remember)
        if remember:
            self._remembered = {
                "execs": await self.execs(),
                "forks": await self.forks(),
                "merges": await self.merges(),
                "requests": await self.requests(),
                "sandboxes": await self.sandboxes(),
                "log": await self.log(),
            }
        self._registry.seeds.clear()
        self._registry.stubs.clear()
        self._registry.commands.clear()
        self._registry.arrange_egress(True)
        self._registry.arrange_env({})
        self._registry.arrange_reachable(())
        self._registry.arrange_echo(None)
        self._faults.clear()
        await self._door.accept()
        self._registry.webhooks.hush()
        destroyed = await self._registry.destroy_all(keep)
        self._registry.webhooks.clear()
        await self._clock.restart(self._settings.clock)
        self._registry.ledger.clear()
        self._registry.exempt(keep)  # they outlive this test, whose moves of the clock must not end them
        self._kept_log.drop()
        self._registry.ids.restart()
        self._requests.clear()
        return destroyed

    async def remembered(self) -> dict[str, list[Any]]:
        """What the calls of these names answered just before the last reset with `remember`."""
        return self._remembered

    async def requests(self) -> list[dict[str, Any]]:
        """Every request to the service since the last reset, in the order of arrival."""
        return self._requests.described()

    async def execs(self) -> list[dict[str, Any]]:
        """Every exec since the last reset, in the order of their starts."""
        return self._registry.ledger.execs()

    async def forks(self) -> list[dict[str, Any]]:
        """Every fork since the last reset: `parent`, `children`, `at` (ms), and its `number` in the journal."""
        return self._registry.ledger.forks()

    async def merges(self) -> list[dict[str, Any]]:
        """Every merge since the last reset: `parent`, `winner`, `at` (ms), and its `number` in the journal."""
        return self._registry.ledger.merges()

    async def sandboxes(self) -> list[dict[str, Any]]:
        """Every sandbox that something has happened to since the last reset, oldest first, and what became of it."""
        return self._registry.lives()

    async def tree(self) -> dict[str, str]:
        """The tree of these sandboxes, drawn as `text` and for `mermaid`."""
        tree = Tree.of(self._registry.lives())
        return {"text": str(tree), "mermaid": tree.mermaid()}

    async def lasting_ids(self, lasting: bool) -> None:
        """While true, new sandboxes are to survive resets, and take no ids from the tests' series. A reset ends it."""
        check_kind(bool, lasting=lasting)
        self._registry.ids.lasting = lasting

    async def expect_forks(self, sandbox: str) -> None:
        """Expects forks of one child each of this sandbox: makes the next child ahead, while nothing happens in it."""
        check_kind(str, sandbox=sandbox)
        self._registry.expect_forks(sandbox)

    async def clear_files(self) -> None:
        """Sandboxes created from now on get no files."""
        self._registry.seeds.clear()

    async def add_files(self, files: list[dict[str, Any]]) -> None:
        """Every sandbox created from now on gets these files: each an absolute `path`, `base64` content and a `mode`.

        The mode is a number, or octal digits such as "644".
        """
        if not isinstance(files, list):
            raise InvalidRequest(f"files: expected a list, got {files!r}")
        for path, mode, data in [_file(file) for file in files]:
            self._registry.seeds.add(path, mode, data)

    async def keep_log(self, level: str) -> None:
        """Keeps the lines logged from now on, at this level or above: `error`, `warning` or `info`."""
        if level not in LEVELS:
            raise InvalidRequest(f"level: expected {', '.join(LEVELS)}, got {level!r}")
        self._kept_log.keep(level)

    async def log(self) -> list[str]:
        """The most recent kept lines, oldest first."""
        return list(self._kept_log.lines)

    async def set_egress(self, allowed: bool) -> None:
        """False: no sandbox created from now on reaches the network, whatever its create asks for.

        Refused if the isolation cannot enforce that.
        """
        check_kind(bool, egress=allowed)
        self._registry.arrange_egress(allowed)

    async def set_echo_last_expression(self, echo: bool) -> None:
        """True: sandboxes created from now on print the `repr` of a last line that is an expression."""
        check_kind(bool, echo=echo)
        self._registry.arrange_echo(echo)

    async def set_env(self, env: dict[str, str]) -> None:
        """Every sandbox created from now on has these environment variables, in addition to those of the settings."""
        try:
            self._registry.arrange_env(variables("env", env))
        except SettingsError as error:
            raise InvalidRequest(str(error)) from None

    async def set_reachable(self, addresses: list[tuple[str, int]]) -> None:
        """Every sandbox created from now on finds these servers on this machine's loopback at the same address.

        Each is a host and a port, such as `["127.0.0.1", 8080]`.
        """
        try:
            self._registry.arrange_reachable(checked_addresses("reachable", addresses))
        except SettingsError as error:
            raise InvalidRequest(str(error)) from None


def _file(file: Any) -> tuple[str, int, bytes]:
    try:
        mode = file.get("mode", 0o644)
        mode = int(mode, 8) if isinstance(mode, str) else mode
        if type(mode) is not int or not 0 <= mode <= 0o7777:
            raise ValueError("mode: expected 0 to 7777 in octal digits")
        return sandbox_path(file["path"]), mode, b64decode(file["base64"], validate=True)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a SettingsError is a ValueError
        example = '{"path": "/data/x.csv", "base64": "aGVsbG8="}'
        raise InvalidRequest(
            f"files: expected a list of objects such as {example}, got {file!r:.100}: {error}"
        ) from None
