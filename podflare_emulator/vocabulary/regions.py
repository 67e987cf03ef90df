"""The service's regions (contract), of which there is one machine here."""

from __future__ import annotations

REGIONS = ("us-west", "us-central", "us-east", "eu", "sg")
ALIASES = {"us": "us-west", "europe": "eu", "asia": "sg"}
