import httpx
import pytest

from agent import Agent, OutOfBudget
from pytest_podflare import prepared_sandbox

SALES = b"mon 20\ntue 35\nwed 27\n"
LOAD = "sales = dict(line.split() for line in open('/data/sales.txt'))"


class Script:
    """A model that says what a test has written down: of each goal, what it answers each time that it is asked."""

    def __init__(self, **goals):
        self.goals = goals
        self.failures = []

    def plan(self, task):
        return list(self.goals)

    def write(self, goal, failure):
        if failure:
            self.failures.append(failure)
        answer = self.goals[goal].pop(0)
        return [answer] if isinstance(answer, str) else answer

    def choose(self, goal, outputs):
        return outputs.index(min(outputs))


@pytest.mark.podflare(files={"/data/sales.txt": SALES})
def test_a_goal_builds_on_the_one_before(podflare_emulator):
    model = Script(load=[LOAD], best=["print(max(sales, key=sales.get))"])
    assert Agent(model).solve("What was the best day?") == "tue"


def test_data_is_uploaded_before_any_code_runs(podflare_emulator):
    model = Script(load=[LOAD], count=["print(len(sales))"])
    assert Agent(model).solve("How many days?", {"/data/sales.txt": SALES}) == "3"
    assert "/data/sales.txt" in podflare_emulator.execs()[0].code
    assert [one.code for one in podflare_emulator.execs()[1:]] == [LOAD, "print(len(sales))"]


def test_an_error_goes_back_to_the_model(podflare_emulator):
    model = Script(answer=["print(6 * seven)", "print(6 * 7)"])
    assert Agent(model).solve("What is six times seven?") == "42"
    (failure,) = model.failures
    assert "NameError: name 'seven' is not defined" in failure


def test_what_failed_leaves_nothing_behind(podflare_emulator):
    half = "open('/root/half.txt', 'w').close(); half = True; 1 / 0"
    look = "import os; print(os.listdir('/root'), 'half' in globals())"
    assert Agent(Script(look=[half, look])).solve("Look around") == "[] False"


def test_of_several_ways_the_best_is_taken(podflare_emulator):
    ways = ["error = 9; print(error)", "error = 1 / 0", "error = 5; print(error)"]
    assert Agent(Script(fit=[ways], tell=["print(error)"])).solve("Fit a model") == "5"
    tried = podflare_emulator.forks[0].children
    assert len(tried) == 3
    assert podflare_emulator.merges[0].winner == tried[2]
    assert all(life.state in ("closed", "merged") for life in podflare_emulator.tree().sandboxes)


def test_a_way_that_kills_its_interpreter_is_not_taken(podflare_emulator):
    podflare_emulator.fault("exec", code="everything", dies_after=0)
    model = Script(load=[["rows = 'everything'", "rows = 'a sample'"]], tell=["print(rows)"])
    assert Agent(model).solve("Load what fits") == "a sample"


@pytest.mark.podflare(leaks="error")
def test_it_stops_when_its_budget_is_spent(podflare_emulator):
    model = Script(easy=["1"], impossible=["1 / 0"] * 9)
    with pytest.raises(OutOfBudget, match=r"^impossible: (.|\n)*ZeroDivisionError"):
        Agent(model, budget=4).solve("Try")
    assert len(podflare_emulator.execs(code="1 / 0")) == 3


@pytest.mark.podflare(
    faults={"create": {"status": 429, "retry_after": 7}, "exec": [503, 502], "merge_into": 500}
)
def test_it_comes_back_when_it_may(podflare_emulator):
    slept = []
    assert Agent(Script(answer=["print(42)"]), sleep=slept.append).solve("Answer") == "42"
    assert slept == [7, 0.5, 1, 0.5]
    podflare_emulator.assert_all_faults_used()


@pytest.mark.podflare(leaks="error")
def test_it_gives_up_on_a_service_that_stays_down(podflare_emulator):
    podflare_emulator.fault("exec", status=503, times=None)
    slept = []
    with pytest.raises(httpx.HTTPStatusError):
        Agent(Script(answer=["print(42)"]), attempts=3, sleep=slept.append).solve("Answer")
    assert slept == [0.5, 1]
    assert [one.status for one in podflare_emulator.requests(call="exec")] == [503] * 3


def test_what_was_done_but_not_answered_is_not_done_twice(podflare_emulator):
    podflare_emulator.fault("exec", connection="reset_after", code="append")
    model = Script(start=["paid = []"], pay=["paid.append(100)"] * 2, tell=["print(paid)"])
    assert Agent(model).solve("Pay once") == "[100]"
    assert "the connection was lost" in model.failures[0]


def test_what_cannot_run_offline_is_answered(podflare_emulator):
    pip = podflare_emulator.stub_command("pip", stdout="Successfully installed prophet-1.1")
    podflare_emulator.stub("Prophet().fit", stdout="trend: up")
    install = "import subprocess; subprocess.run(['pip', 'install', 'prophet'], check=True)"
    model = Script(install=[install], fit=["print(Prophet().fit(sales))"])
    assert Agent(model).solve("What is the trend?") == "trend: up"
    assert pip.calls == [["install", "prophet"]]


@prepared_sandbox
def with_sales(sandbox):
    sandbox.upload(SALES, "/data/sales.txt")
    sandbox.run_code(LOAD)


def test_it_works_in_a_sandbox_that_is_prepared(with_sales):
    model = Script(total=["print(sum(map(int, sales.values())))"])
    assert Agent(model).solve_in(with_sales, "How much in all?") == "82"
