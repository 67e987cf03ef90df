from pytest_podflare import prepared_sandbox


@prepared_sandbox
def trained(sandbox):
    sandbox.run_code("squares = [n * n for n in range(100_000)]")  # runs once


def test_how_many(trained):
    assert trained.run_code("squares.clear(); print(len(squares))").stdout == "0"


def test_each_test_has_its_own(trained):
    assert trained.run_code("print(len(squares))").stdout == "100000"
