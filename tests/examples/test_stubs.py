from dataclasses import replace


def test_what_cannot_run_offline_is_answered(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub("pip install", language="bash", stdout="Successfully installed prophet-1.1")
    assert podflare_sandbox.run_code("pip install prophet", language="bash").ok
    assert podflare_sandbox.run_code("echo this runs", language="bash").stdout == "this runs"
    podflare_emulator.assert_all_stubs_used()


def test_output_that_takes_its_time(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub("train(", stdout=["epoch 1", 0.1, "epoch 2"], stderr="no GPU", delay=0.1)
    lines = [event.data for event in podflare_sandbox.run_code_stream("train(model)")]
    assert lines == ["epoch 1", "no GPU", "epoch 2", 0]


def test_a_function_answers_and_may_run_the_real_thing(podflare_emulator, podflare_sandbox):
    def answer(call):
        real = call.run_real(call.code.replace("paid_api()", "'free'"))
        return replace(real, stdout=real.stdout.upper())

    podflare_emulator.stub("paid_api", answer=answer)
    assert podflare_sandbox.run_code("said = paid_api(); print(said)").stdout == "FREE"
    assert podflare_sandbox.run_code("print(said)").stdout == "free"
