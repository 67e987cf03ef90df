def test_a_script_that_installs_first(podflare_sandbox):
    result = podflare_sandbox.run_code("pip install prophet && echo installed", language="bash")
    assert result.stdout == "Requirement already satisfied\ninstalled"
