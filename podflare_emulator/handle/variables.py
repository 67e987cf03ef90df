"""`emulator.env`: what every sandbox has in its environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from podflare_emulator.vocabulary.kinds import variables as checked


class Variables(MutableMapping[str, str]):
    """Of every sandbox created from now on, its forks and all that runs in them, until the next `Emulator.reset`.

        emulator.env["PIP_INDEX_URL"] = "https://mirror.example/simple"

    Beside those that the emulator was started with, which are not in here. A variable that the interpreter reads as it
    starts (`PYTHONHASHSEED`) is in time for what code starts, not for the sandbox's own.

    Raises:
        EmulatorError: A name or value that cannot be, or a variable that is the sandbox's own, such as `PATH`.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._arranged: dict[str, str] = {}

    def replace(self, variables: Mapping[str, str]) -> None:
        """These, and no others."""
        variables = checked("env", variables)
        self._call("set_env", env=variables)
        self._arranged = variables

    def forget(self) -> None:
        """After a reset: the server has forgotten them."""
        self._arranged = {}

    def __getitem__(self, name: str) -> str:
        return self._arranged[name]

    def __setitem__(self, name: str, value: str) -> None:
        self.replace({**self._arranged, name: value})

    def __delitem__(self, name: str) -> None:
        self.replace({other: value for other, value in self._arranged.items() if other != name})

    def __iter__(self) -> Iterator[str]:
        return iter(self._arranged)

    def __len__(self) -> int:
        return len(self._arranged)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Inside, new sandboxes have none of them: what is made there is to outlive the test that wants them."""
        arranged = self._arranged
        if not arranged:
            yield
            return
        self.replace({})
        try:
            yield
        finally:
            self.replace(arranged)
