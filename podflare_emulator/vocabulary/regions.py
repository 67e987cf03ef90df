"""The service's regions (contract). Here, one machine serves them all."""

from __future__ import annotations

REGIONS = ("us-west", "us-central", "us-east", "eu", "sg")
ALIASES = {"us": "us-west", "europe": "eu", "asia": "sg"}
