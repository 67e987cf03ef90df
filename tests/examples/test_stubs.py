def test_what_cannot_run_offline_is_answered(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub("pip install", language="bash", stdout="Successfully installed prophet-1.1")
    assert podflare_sandbox.run_code("pip install prophet", language="bash").ok
    assert podflare_sandbox.run_code("echo this runs", language="bash").stdout == "this runs"
    podflare_emulator.assert_all_stubs_used()
