import pytest


@pytest.mark.podflare(files={"/data/prices.csv": "day,price\n1,20\n2,22\n"})
def test_by_marker(podflare_sandbox):
    result = podflare_sandbox.run_code("print(open('/data/prices.csv').readline())")
    assert result.stdout.startswith("day,price")


def test_by_handle(podflare_emulator, podflare_sandboxes):
    podflare_emulator.files["/root/config.json"] = b'{"depth": 3}'
    sandbox = podflare_sandboxes()
    assert sandbox.run_code("cat /root/config.json", language="bash").stdout == '{"depth": 3}'
