"""The environment of the test's process, patched by the plugin and by the test, is whole again after each test."""

from __future__ import annotations

import pytest

from ..matrix import SLOW


@SLOW
@pytest.mark.parametrize("before", [None, "http://127.0.0.1:9"])
def test_a_test_patches_what_the_plugin_has_set(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    names = ("PODFLARE_HOST", "PODFLARE_API_URL", "PODFLARE_API_KEY", "NO_PROXY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        if before:
            monkeypatch.setenv(name, before)
    files = {}
    for fixtures in ("monkeypatch, podflare_emulator", "podflare_emulator, monkeypatch"):
        for patch in ("setenv(name, 'http://127.0.0.1:7')", "delenv(name, raising=False)"):
            files[f"test_{len(files)}"] = f"""
                import os

                NAMES = {names!r}

                def test_during({fixtures}):
                    assert os.environ["PODFLARE_HOST"] == podflare_emulator.url
                    for name in NAMES:
                        monkeypatch.{patch}

                def test_after():
                    assert [os.environ.get(name) for name in NAMES] == [{before!r}] * len(NAMES)

                def test_again(podflare_sandbox):
                    assert podflare_sandbox.run_code("print(1)").stdout == "1"
            """
    pytester.makepyfile(**files)
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=3 * len(files))
