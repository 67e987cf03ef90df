"""The regions of the service, and which of them to use. Nothing here asks a server."""

from __future__ import annotations

import math
import os
import zoneinfo
from pathlib import Path
from typing import NamedTuple

from podflare.core.settings import named_host
from podflare.errors import UnknownRegionError


class RegionInfo(NamedTuple):
    """A region of the service: its name, its URL, and where it is, in degrees north and east."""

    name: str
    direct_url: str
    lat: float
    lon: float


_REGIONS = (
    RegionInfo("us-west", "https://usw1.podflare.ai", 37.4, -121.9),
    RegionInfo("us-central", "https://usc1.podflare.ai", 32.8, -96.8),
    RegionInfo("us-east", "https://use1.podflare.ai", 39.0, -77.5),
    RegionInfo("eu", "https://hel.podflare.ai", 60.2, 24.9),
    RegionInfo("sg", "https://sing1.podflare.ai", 1.4, 103.8),
)
_OTHER_NAMES = {
    "us": "us-west",
    "usa": "us-west",
    "america": "us-west",
    "central": "us-central",
    "us-cen": "us-central",
    "east": "us-east",
    "us-e": "us-east",
    "europe": "eu",
    "asia": "sg",
    "singapore": "sg",
    "apac": "sg",
}
_URLS = {region.name: region.direct_url for region in _REGIONS}

REGIONS = _URLS | {name: _URLS[_OTHER_NAMES[name]] for name in ("us", "europe", "asia")}
"""URLs by name."""


def resolve_region(region: str | None) -> str | None:
    """Return the URL to use for a region; None for no region.

    If `PODFLARE_HOST` names a server, it is `/r/<region>` there: one server stands for all regions, and no program that
    was sent to an emulator reaches the service.

    Args:
        region: A name in `REGIONS`, or another that the service has for one, such as `"usa"`; in any case.

    Raises:
        UnknownRegionError: If there is no such region. It is a `ValueError`.
    """
    return region_host(region, None)


def region_host(region: str | None, host: str | None) -> str | None:
    """As `resolve_region`; a host that is given comes before the environment's. Without a region, the given host."""
    given = str(region or "").strip().lower()
    if not given:
        return host
    name = _OTHER_NAMES.get(given, given)
    if name not in _URLS:
        known = ", ".join(REGIONS)
        raise UnknownRegionError(f"there is no region {region!r}; those of the service are {known}")
    server = named_host(host)
    return REGIONS[name] if server is None else f"{server.rstrip('/')}/r/{name}"


def haversine_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the distance of two places on the earth, given in degrees, in kilometres."""
    north, south = math.radians(lat1), math.radians(lat2)
    across = math.sin((north - south) / 2) ** 2
    along = math.cos(north) * math.cos(south) * math.sin(math.radians(lon1 - lon2) / 2) ** 2
    return 2 * 6371.0 * math.asin(min(1.0, math.sqrt(across + along)))


def nearest_region_to(lat: float, lon: float) -> RegionInfo:
    """Return the region that is nearest to a place, given in degrees."""
    return min(_REGIONS, key=lambda region: haversine_km(lat, lon, region.lat, region.lon))


def detect_local_region() -> RegionInfo | None:
    """Return the region nearest to the place that this machine's time zone is named after; None if it tells none."""
    place = _place_of_zone(os.environ.get("TZ") or _zone_of_machine())
    return None if place is None else nearest_region_to(*place)


def _zone_of_machine() -> str:
    return os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]


def _place_of_zone(zone: str) -> tuple[float, float] | None:
    for directory in zoneinfo.TZPATH:
        try:
            lines = Path(directory, "zone.tab").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            # A country, a place as +DDMM+DDDMM or +DDMMSS+DDDMMSS, a zone.
            fields = line.split("\t")
            if len(fields) > 2 and fields[2] == zone:
                split = max(fields[1].rfind("+"), fields[1].rfind("-"))
                return _degrees(fields[1][:split], 3), _degrees(fields[1][split:], 4)
    return None


def _degrees(text: str, whole: int) -> float:
    """Of +DDMM[SS]: `whole` characters are the sign and the degrees."""
    minutes = float(text[whole : whole + 2]) + float(text[whole + 2 :] or 0) / 60
    return float(text[:whole]) + math.copysign(minutes / 60, float(text[0] + "1"))
