"""What the plugin costs a run that does not use it."""

from __future__ import annotations

import pytest

# Plugins that import httpx themselves.
_OTHERS = [f"-pno:{name}" for name in ("xdist", "anyio", "respx", "pytest_httpx", "recording")]


def test_an_unused_plugin_imports_nothing_but_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"podflare", "podflare_emulator", "starlette", "uvicorn", "httpx", "msgspec"}
        """
    )
    pytester.runpytest_subprocess(*_OTHERS).assert_outcomes(passed=1)
