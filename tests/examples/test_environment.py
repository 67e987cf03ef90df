import pytest

MIRROR = {
    "PIP_INDEX_URL": "https://mirror.example/simple",
    "PIP_TRUSTED_HOST": "mirror.example",
    "HTTPS_PROXY": "http://proxy.example:3128",
}


@pytest.mark.podflare(env=MIRROR)
def test_pip_asks_the_mirror(podflare_sandbox):
    result = podflare_sandbox.run_code("pip config debug", language="bash")
    assert "PIP_INDEX_URL='https://mirror.example/simple'" in result.stdout


def test_an_agent_reads_its_settings(podflare_emulator, podflare_sandboxes):
    podflare_emulator.env["STAGE"] = "test"
    sandbox = podflare_sandboxes()
    assert sandbox.run_code("import os; print(os.environ['STAGE'])").stdout == "test"
