"""Regions: which server a name leads to. No test here asks one of the service's."""

from __future__ import annotations

import math

import pytest

import podflare
from podflare import REGIONS, InvalidArgumentError, PodflareError, Sandbox, UnknownRegionError, resolve_region
from podflare_emulator import Emulator


def test_a_name_leads_to_a_region_of_the_service() -> None:
    assert resolve_region("eu") == REGIONS["eu"] == REGIONS["europe"] == "https://hel.podflare.ai"
    assert resolve_region(" USA ") == REGIONS["us-west"]
    assert resolve_region(None) is resolve_region("") is None


def test_an_unknown_name_is_said_at_once() -> None:
    for refuse in (resolve_region, lambda name: Sandbox(region=name)):
        with pytest.raises(
            UnknownRegionError, match="no region 'mars'; those of the service are us-west, "
        ) as caught:
            refuse("mars")
        assert isinstance(caught.value, (PodflareError, ValueError))


def test_a_server_of_ones_own_stands_for_all_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFLARE_HOST", "http://127.0.0.1:7070/")
    assert resolve_region("asia") == "http://127.0.0.1:7070/r/sg"


def test_a_sandbox_in_a_region_of_a_server(podflare_emulator: Emulator) -> None:
    for sandbox in (Sandbox(region="eu"), Sandbox(host=podflare_emulator.url, region="eu")):
        assert sandbox._shared_client.client.host == f"{podflare_emulator.url}/r/eu"
        assert sandbox.run_code("print(1)").stdout == "1"
        [child] = sandbox.fork()
        child.close()
        with Sandbox.connect(sandbox.id, region="eu") as again:
            assert again.run_code("print(2)").stdout == "2"
        sandbox.close()


def test_a_client_has_its_own_region(podflare_client: podflare.Client) -> None:
    with pytest.raises(InvalidArgumentError, match="traceparent and region"):
        Sandbox(client=podflare_client, region="eu")


def test_distances() -> None:
    assert math.isclose(podflare.haversine_km(0, 0, 0, 1), 111.195, rel_tol=1e-4)
    assert podflare.haversine_km(0, 0, 0, 180) == podflare.haversine_km(90, 0, -90, 0)
    assert podflare.nearest_region_to(48.9, 2.4).name == "eu"
    assert podflare.nearest_region_to(-33.9, 151.2) == podflare.RegionInfo("sg", REGIONS["sg"], 1.4, 103.8)


@pytest.mark.parametrize(
    ("zone", "region"), [("Europe/Berlin", "eu"), ("America/New_York", "us-east"), ("Etc/GMT+5", None)]
)
def test_a_time_zone_tells_the_nearest(
    monkeypatch: pytest.MonkeyPatch, zone: str, region: str | None
) -> None:
    monkeypatch.setenv("TZ", zone)
    found = podflare.detect_local_region()
    if found is None and region is not None:
        pytest.skip("this machine has no zone.tab")
    assert (found and found.name) == region
