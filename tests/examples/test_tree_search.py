import pytest

from podflare import Sandbox

PLANS = ["max(prices)", "min(prices)", "sum(prices) / len(prices)"]


def search(score):
    """A program of yours: tries every plan in a fork of its own, and commits the best."""
    with Sandbox() as parent:
        parent.run_code("prices = [float(line.split(',')[1]) for line in open('/data/prices.csv')]")
        children = parent.fork(n=len(PLANS))
        try:
            results = [
                child.run_code(f"answer = {plan}; print(answer)")
                for child, plan in zip(children, PLANS, strict=True)
            ]
            parent.merge_into(children[max(range(len(PLANS)), key=lambda number: score(results[number]))])
        finally:
            for child in children:
                child.close()
        return parent.run_code("print(answer)").stdout


@pytest.mark.podflare(files={"/data/prices.csv": "1,20\n2,22\n3,27\n"}, leaks="error")
def test_the_best_plan_is_committed(podflare_emulator):
    assert search(lambda result: float(result.stdout)) == "27.0"
    assert len(podflare_emulator.forks[0].children) == len(PLANS)
    assert len(podflare_emulator.merges) == 1


@pytest.mark.podflare(files={"/data/prices.csv": "1,20\n"}, leaks="error")
def test_a_plan_that_fails_is_not_chosen(podflare_emulator):
    podflare_emulator.stub("max(prices)", stderr="Killed", exit_code=137)
    assert search(lambda result: result.exit_code == 0) == "20.0"
