SCRIPT = """
set -e
pip install --quiet prophet
python -c "print('the rest of the script runs')"
"""


def test_the_script_goes_on_without_a_network(podflare_emulator, podflare_sandbox):
    pip = podflare_emulator.stub_command("pip", match="install", stdout="Successfully installed prophet-1.1")
    result = podflare_sandbox.run_code(SCRIPT, language="bash")
    assert result.stdout == "Successfully installed prophet-1.1\nthe rest of the script runs"
    assert pip.calls == [["install", "--quiet", "prophet"]]


def test_a_package_index_that_is_down_the_first_time(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub_command("pip", match="install", stdout="Successfully installed prophet-1.1")
    podflare_emulator.stub_command("pip", match="install", stderr="ERROR: 503", exit_code=1, times=1)
    assert not podflare_sandbox.run_code(SCRIPT, language="bash").ok
    assert podflare_sandbox.run_code(SCRIPT, language="bash").ok
