import pytest

from podflare import NotFoundError, Sandbox


class Notebook:
    """The program under test: a sandbox that is made anew, its history run again, when it has been idle too long."""

    def __init__(self):
        self.cells = []
        self.sandbox = self.new()

    def new(self):
        return Sandbox(idle_timeout_seconds=600)

    def run(self, cell):
        try:
            result = self.sandbox.run_code(cell)
        except NotFoundError:
            self.sandbox.close()
            self.sandbox = self.new()
            for earlier in self.cells:
                self.sandbox.run_code(earlier)
            result = self.sandbox.run_code(cell)
        self.cells.append(cell)
        return result.stdout


@pytest.mark.podflare(clock="manual")
def test_a_notebook_outlives_its_sandbox(podflare_emulator):
    notebook = Notebook()
    notebook.run("x = 41")
    podflare_emulator.clock.advance(601)
    assert notebook.run("print(x + 1)") == "42"
    assert [one.type for one in podflare_emulator.webhooks] == [
        "sandbox.created",
        "sandbox.destroyed",
        "sandbox.created",
    ]
    notebook.sandbox.close()


@pytest.mark.podflare(clock="skipping")
def test_an_hour_of_training_takes_no_time(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub("train(", stdout=["epoch 1", 3600, "epoch 2"])
    podflare_emulator.latency("exec", 30)
    assert podflare_sandbox.run_code("train(model)").stdout == "epoch 1\nepoch 2"
    assert podflare_emulator.the_exec().duration_ms >= 3_600_000
