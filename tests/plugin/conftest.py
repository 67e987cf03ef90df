"""What the inner runs of pytest do not load."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _without_asyncios_warning(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-asyncio warns of its own default wherever it is installed and not configured."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # which begins by forgetting the variable
        monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
