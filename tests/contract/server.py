"""Where the contract is checked: an emulator of the suite's own, or whatever `--podflare-url` names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """`emulated`: it was started by this suite, on this machine, with this isolation and this fork engine."""

    url: str
    api_key: str | None
    emulated: bool
    isolation: str = ""
    engine: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
