"""What the plugin costs a run that does not use it."""

from __future__ import annotations

import pytest


def test_an_unused_plugin_imports_nothing_but_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"podflare", "podflare_emulator", "starlette", "uvicorn", "httpx", "msgspec"}
        """
    )
    pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:anyio").assert_outcomes(passed=1)
