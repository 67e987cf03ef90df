"""What answers name of regions and endpoints, and where a Space can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from podflare_emulator import Emulator, SettingsError

from ..matrix import SLOW

Ask = Callable[..., httpx.Response]


@SLOW
def test_answers_name_neither_unless_the_settings_do(portable_emulator: Callable[..., Emulator]) -> None:
    api = portable_emulator().url
    made = httpx.post(f"{api}/r/eu/v1/sandboxes", json={"region": "eu"})
    assert made.json().keys() == {"id", "state"}


@SLOW
def test_answers_name_what_the_settings_do_and_the_region_that_was_asked_for(
    portable_emulator: Callable[..., Emulator],
) -> None:
    emulator = portable_emulator(region="us-west", endpoint="http://127.0.0.1:7070", clock="manual")
    api = emulator.url

    def named(path: str, body: dict[str, Any]) -> str:
        answer = httpx.post(f"{api}{path}", json=body).json()
        assert answer["endpoint"] == "http://127.0.0.1:7070"
        return str(answer["region"])

    assert named("/v1/sandboxes", {}) == "us-west"
    assert named("/v1/sandboxes", {"region": "europe"}) == "eu"
    assert named("/r/asia/v1/sandboxes", {"persistent": True, "timeout_seconds": 60}) == "sg"
    emulator.clock.advance(60)
    space = emulator.webhooks[-1].space
    assert httpx.post(f"{api}/r/eu/v1/spaces/{space}/resume", json={}).status_code == 404
    assert httpx.post(f"{api}/v1/spaces/{space}/resume", json={"region": "us"}).status_code == 404
    assert named(f"/r/asia/v1/spaces/{space}/resume", {}) == "sg"


@SLOW
def test_a_region_that_there_is_not_is_refused(portable_emulator: Callable[..., Emulator]) -> None:
    made = httpx.post(f"{portable_emulator().url}/v1/sandboxes", json={"region": "mars"})
    assert made.status_code == 400
    assert "region: expected us-west, us-central, us-east, eu, sg, got 'mars'" in made.json()["error"]
    with pytest.raises(
        SettingsError, match="region: expected us-west, us-central, us-east, eu or sg, got 'mars'"
    ):
        Emulator(region="mars")
    with pytest.raises(SettingsError, match="endpoint: expected a URL"):
        Emulator(endpoint="podflare")
