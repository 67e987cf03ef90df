"""`@pytest.mark.podflare(...)` arranges the emulator for a test."""

from __future__ import annotations

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW, servers
from ..serving import serving


@pytest.fixture(scope="module")
def namespace_works() -> None:
    with serving("namespace"):
        pass


@SLOW
@pytest.mark.parametrize("server", servers())
def test_files_are_in_the_tests_sandboxes_and_in_no_other_tests(
    pytester: pytest.Pytester, server: str
) -> None:
    pytester.makepyfile(
        test_it="""
        from pathlib import Path

        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        pytestmark = pytest.mark.podflare(files={"/data/all": "of the module", "/data/one": "of the module"})

        @prepared_sandbox
        def prepared(sandbox):
            sandbox.run_code("import os; there = os.path.exists('/data/all')")

        @pytest.mark.podflare(files={"/data/one": "of the test", "/tests": Path(__file__).parent})
        def test_one(podflare_sandbox, prepared):
            assert podflare_sandbox.download("/data/all") == b"of the module"
            assert podflare_sandbox.download("/data/one") == b"of the test"
            assert podflare_sandbox.download("/tests/test_it.py") == Path(__file__).read_bytes()
            assert prepared.run_code("print(there)").stdout == "False", "it outlives this test"
            with Sandbox() as another:
                assert another.download("/data/one") == b"of the test"

        def test_two(podflare_sandbox):
            assert podflare_sandbox.download("/data/one") == b"of the module"
            assert podflare_sandbox.run_code("ls /tests", "bash").exit_code != 0
        """
    )
    result = pytester.runpytest_subprocess(
        "--strict-markers", f"--podflare-server={server}", "-p", "no:randomly"
    )
    result.assert_outcomes(passed=2)


@SLOW
def test_stubs_answer_in_the_test_and_in_no_other(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(stubs={"pip install": "Done", "curl": {"stderr": "refused", "exit_code": 7}})
        def test_stubbed(podflare_sandbox):
            assert podflare_sandbox.run_code("pip install x", "bash").stdout == "Done"
            result = podflare_sandbox.run_code("curl -s http://example", "bash")
            assert (result.stderr, result.exit_code) == ("refused", 7)

        def test_other(podflare_sandbox):
            assert podflare_sandbox.run_code("echo pip install x", "bash").stdout == "pip install x"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


_WITHOUT_EGRESS = """
import socket

import pytest
from podflare import Sandbox
from pytest_podflare import prepared_sandbox

REACH = "import socket; socket.create_connection(('127.0.0.1', {})).close(); print('reached')"

@pytest.fixture
def reaches():
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = REACH.format(server.getsockname()[1])
        yield lambda sandbox: sandbox.run_code(reach).stdout == "reached"

@prepared_sandbox
def prepared(sandbox):
    sandbox.run_code("x = 1")

@pytest.mark.podflare(egress=True)
def test_with(podflare_sandbox, prepared, reaches):
    assert reaches(podflare_sandbox)
    assert reaches(prepared)

{marker}
def test_without(podflare_emulator, podflare_sandbox, prepared, reaches):
    assert not reaches(podflare_sandbox)
    assert not reaches(prepared)
    assert prepared.run_code("print(x)").stdout == "1"
    with Sandbox() as of_the_program:
        assert not reaches(of_the_program)
    podflare_emulator.reset()
    with Sandbox() as after_a_reset:
        assert not reaches(after_a_reset)

test_with_again = test_with
"""


@SLOW
@pytest.mark.parametrize(
    ("marker", "options"),
    [("@pytest.mark.podflare(egress=False)", ()), ("", ("--podflare-egress=no",))],
    ids=["marker", "option"],
)
def test_a_test_without_egress_has_no_sandbox_that_reaches_the_network(
    pytester: pytest.Pytester, namespace_works: None, marker: str, options: tuple[str, ...]
) -> None:
    pytester.makepyfile(_WITHOUT_EGRESS.replace("{marker}", marker))
    result = pytester.runpytest_subprocess(
        "-p", "no:randomly", "--podflare-isolation=namespace", "--podflare-network=host", *options
    )
    result.assert_outcomes(passed=3)


@SLOW
@pytest.mark.parametrize("option", ["no", "yes"])
def test_a_test_says_whether_last_expressions_are_printed(pytester: pytest.Pytester, option: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox()
        def prepared(sandbox):
            sandbox.run_code("x = 1")

        @pytest.mark.parametrize("again", range(2))
        @pytest.mark.podflare(echo_last_expression=True)
        def test_echo(prepared, podflare_emulator, podflare_sandbox, again):
            assert prepared.run_code("x").stdout == podflare_sandbox.run_code("1").stdout == "1"
            podflare_emulator.reset()
            assert podflare_emulator.echo_last_expression

        @pytest.mark.podflare(echo_last_expression=False)
        def test_silence(prepared, podflare_sandbox):
            assert prepared.run_code("x").stdout == podflare_sandbox.run_code("1").stdout == ""

        def test_as_the_option_says(podflare_sandbox):
            assert podflare_sandbox.run_code("1").stdout == {{"no": "", "yes": "1"}}[{option!r}]
        """
    )
    run = pytester.runpytest_subprocess(f"--podflare-echo-last-expression={option}", "-p", "no:randomly")
    run.assert_outcomes(passed=4)


@SLOW
def test_on_a_real_api_sandboxes_are_asked_for_without_egress(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.mark.podflare(egress=False)
        def test_without(podflare_sandbox):
            Sandbox(egress=True).close()

        def test_other(podflare_sandbox): ...
        """
    )
    with Emulator(isolation="portable", egress_unenforced=True) as server:
        result = pytester.runpytest_subprocess(f"--podflare-url={server.url}", "-p", "no:randomly")
        asked = [create.body.get("egress") for create in server.requests(call="create")]
    result.assert_outcomes(passed=2)
    assert asked == [False, False, None]


@SLOW
def test_where_egress_cannot_be_denied_the_test_fails_with_the_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(egress=False)
        def test_without(podflare_sandbox): ...

        def test_other(podflare_sandbox): ...
        """
    )
    result = pytester.runpytest_subprocess("--podflare-isolation=portable")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["egress: the sandboxes cannot be kept off the network under portable isolation,*"]
    )


@SLOW
def test_the_leak_policy_can_be_a_tests_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.mark.podflare(leaks="error")
        def test_strict(podflare_emulator):
            Sandbox()

        def test_other(podflare_emulator):
            Sandbox()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "--podflare-leaks=ignore")
    result.assert_outcomes(passed=2, errors=1)


_MISTAKES = [
    ("fils={}", "unknown name 'fils'; did you mean files?"),
    ("colour='red'", "unknown name 'colour'; there are files, env, stubs,*"),
    ("'/data/x'", "takes keyword arguments only, such as files={...}, got '/data/x'"),
    ("files=['/data/x']", "files: expected a dict such as *, got ['/data/x']"),
    ("faults={'exce': 503}", "faults: call: expected any, create, exec, *; did you mean exec?"),
    (
        "faults={'exec': 'x'}",
        "faults: 'exec': expected a status such as 503, or a dict such as *, got 'x'",
    ),
    (
        "faults={'exec': {'stauts': 5}}",
        "faults: 'exec': got an unexpected keyword argument 'stauts'; there are *",
    ),
    (
        "faults={'exec': {'status': 503, 'pattern': 'x'}}",
        "faults: 'exec': got an unexpected keyword argument 'pattern'; there are *, code, *",
    ),
    ("isolation='portable'", "unknown name 'isolation'; there are files, env, stubs,*"),
    (
        "faults={'fork': [503, {'cut_after': 2}]}",
        "faults: cut_after: only an exec has a stream of events*",
    ),
    ("faults=503", "faults: expected a dict such as {'exec': 503}, got 503"),
    (
        "latency={'exec': 'slow'}",
        "latency: seconds: expected a number such as 0.5, or (low, high), got 'slow'",
    ),
    ("stubs='pip'", "stubs: expected a dict such as {'pip install': 'Done'}, got 'pip'"),
    ("leaks='warning'", "leaks: expected ignore, warn, error, got 'warning'"),
    ("egress='no'", "egress: expected True, False, got 'no'"),
    ("echo_last_expression=1", "echo_last_expression: expected True, False, got 1"),
    ("egrss=False", "unknown name 'egrss'; did you mean egress?"),
    ("target='all'", "target: expected emulator, real, both, got 'all'"),
    ("target='both', compare='stdout'", "compare: expected results, outcome, got 'stdout'"),
]


@SLOW
def test_a_mistake_fails_that_test_alone_at_its_setup(pytester: pytest.Pytester) -> None:
    tests = [
        f"@pytest.mark.podflare({arguments})\ndef test_{number}(podflare_sandbox): ...\n"
        for number, (arguments, _) in enumerate(_MISTAKES)
    ]
    pytester.makepyfile("\n".join(["import pytest\n", *tests, "def test_other(): ...\n"]))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=len(_MISTAKES))
    for number, (_, message) in enumerate(_MISTAKES):
        said = message.replace("[", "[[]")
        result.stdout.fnmatch_lines([f"*py::test_{number}: @pytest.mark.podflare: {said}"])


_NOT_ARRANGED = [
    ("files={'data/x': ''}", "files['data/x']: the sandbox path must be absolute, such as /data"),
    (
        "stubs={'pip': {'stdot': ''}}",
        "stubs: 'pip': got an unexpected keyword argument 'stdot'; there are match, *",
    ),
    ("stubs={'pip': 5}", "stubs: 'pip': stdout: expected a string, or a list of strings and seconds *"),
    ("commands={'cd': ''}", "commands: 'cd': command: cd is part of bash *"),
]


@SLOW
def test_what_cannot_be_arranged_fails_the_test_in_one_line(pytester: pytest.Pytester) -> None:
    tests = [
        f"@pytest.mark.podflare({arguments})\ndef test_{number}(podflare_emulator): ...\n"
        for number, (arguments, _) in enumerate(_NOT_ARRANGED)
    ]
    pytester.makepyfile("\n".join(["import pytest\n", *tests]))
    result = pytester.runpytest_subprocess("--podflare-isolation=portable")
    result.assert_outcomes(errors=len(_NOT_ARRANGED))
    for _, message in _NOT_ARRANGED:
        result.stdout.fnmatch_lines([f"@pytest.mark.podflare: {message.replace('[', '[[]')}"])
    result.stdout.no_fnmatch_line("*Error: *")  # no pages of the plugin's own code


def test_a_marked_test_without_a_fixture_of_podflares_is_told_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(files={"/data/x": ""})
        def test(): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the test uses none of Podflare's fixtures; add podflare_emulator to it"])


@SLOW
def test_files_cannot_be_put_into_another_servers_sandboxes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(files={"/data/x": ""})
        def test(podflare_sandbox): ...
        """
    )
    with Emulator(isolation="portable") as server:
        result = pytester.runpytest_subprocess(f"--podflare-url={server.url}", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*only the emulator takes files, variables and stubs*"])


@SLOW
def test_calls_fail_and_are_slow_in_the_test_and_not_in_its_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx
        import pytest
        from podflare import Client, Sandbox
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def prepared(sandbox):
            sandbox.run_code("x = 1")

        @pytest.mark.podflare(faults={"any": {"status": 500, "times": None}})
        def test_all(podflare_sandbox, prepared):
            for sandbox in (podflare_sandbox, prepared):
                with pytest.raises(httpx.HTTPStatusError):
                    sandbox.run_code("1")

        @pytest.mark.podflare(faults={"exec": [429, {"status": 503, "error": "draining"}], "fork": 500})
        def test_in_order(podflare_emulator, podflare_sandboxes):
            sandbox = podflare_sandboxes()
            for message in ("429", "draining"):
                with pytest.raises(httpx.HTTPStatusError, match=message):
                    sandbox.run_code("1")
            assert sandbox.run_code("print(1)").stdout == "1"
            with pytest.raises(AssertionError, match="fork"):
                podflare_emulator.assert_all_faults_used()

        @pytest.mark.podflare(latency={"create": 600, "exec": (0, 0.001)})
        def test_slow(podflare_sandbox, podflare_emulator):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
            with pytest.raises(httpx.ReadTimeout), Client(timeout=0.1) as client:
                Sandbox(client=client)

        def test_none(podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly", "-W", "ignore").assert_outcomes(passed=4)


@SLOW
def test_faults_cannot_be_arranged_on_another_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(faults={"exec": 503})
        def test_faults(podflare_sandbox): ...

        @pytest.mark.podflare(latency={"exec": 1})
        def test_latency(podflare_sandbox): ...
        """
    )
    with Emulator(isolation="portable") as server:
        result = pytester.runpytest_subprocess(f"--podflare-url={server.url}", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["SKIPPED*only the emulator injects faults and delays*"])


@SLOW
def test_variables_are_a_tests_own_and_not_a_prepared_sandboxes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_podflare import prepared_sandbox

        pytestmark = pytest.mark.podflare(env={"FIRST": "module", "SECOND": "2"})
        ECHO = "echo $FIRST $SECOND"

        @prepared_sandbox
        def prepared(sandbox):
            assert sandbox.run_code(ECHO, "bash").stdout == ""

        @pytest.mark.podflare(env={"FIRST": "test"})
        def test_of_its_own(podflare_sandbox, prepared):
            assert podflare_sandbox.run_code(ECHO, "bash").stdout == "test 2"

        def test_of_the_module(podflare_sandbox):
            assert podflare_sandbox.run_code(ECHO, "bash").stdout == "module 2"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


@SLOW
def test_a_variable_that_cannot_be_fails_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(env={"PATH": "/bin"})
        def test(podflare_sandbox): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*@pytest.mark.podflare: env: PATH is the sandbox's own; set it in the code*"]
    )


_MISTAKEN = """
import pytest

class TestMistaken:
    pytestmark = pytest.mark.podflare(fils={})

    def test_mistaken(self, podflare_emulator): ...
    def test_dynamic(self, request): request.getfixturevalue("podflare_emulator")
    def test_without_fixture(self): ...

def test_other(podflare_emulator): ...
"""


@SLOW
@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [
        ((), {"passed": 2, "errors": 1, "failed": 1}),
        pytest.param(("-n", "2"), {"passed": 2, "errors": 1, "failed": 1}, marks=pytest.mark.beside("xdist")),
        (("-k", "other"), {"passed": 1, "deselected": 3}),
        (("--deselect", "test_it.py::TestMistaken"), {"passed": 1, "deselected": 3}),
    ],
    ids=["all", "xdist", "-k", "--deselect"],
)
def test_a_mistake_is_told_by_the_tests_that_run_and_use_a_fixture(
    pytester: pytest.Pytester, arguments: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    pytester.makepyfile(test_it=_MISTAKEN)
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(**outcomes)
    if "errors" in outcomes:
        result.stdout.fnmatch_lines(["*::test_mistaken: *unknown name 'fils'; did you mean files?"])
        result.stdout.fnmatch_lines(["*::test_dynamic: *unknown name 'fils'; did you mean files?"])


@SLOW
def test_markers_of_modules_hooks_and_dynamic_tests_count(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.podflare(files={"/data/hook": "h"}))
        """
    )
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.podflare(files={"/data/module": "m"})

        def test_with(podflare_sandbox):
            assert podflare_sandbox.download("/data/module") + podflare_sandbox.download("/data/hook") == b"mh"

        @pytest.mark.podflare(files={"/data/own": "o"})
        def test_dynamic(request):
            assert request.getfixturevalue("podflare_sandbox").download("/data/own") == b"o"

        def test_helper(): ...
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


@SLOW
def test_a_server_is_let_into_the_tests_sandboxes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import socket

        import pytest

        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
        def teardown_module():
            server.close()

        TALK = f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); print('reached')"

        @pytest.mark.podflare(reachable=[("127.0.0.1", port)])
        def test_it(podflare_sandbox, podflare_emulator):
            assert podflare_emulator.reachable == (("127.0.0.1", port),)
            assert podflare_sandbox.run_code(TALK).stdout == "reached"

        def test_another(podflare_sandbox, podflare_emulator):
            assert podflare_emulator.reachable == ()
            if podflare_emulator.network == "private":
                assert "refused" in podflare_sandbox.run_code(TALK).stderr

        @pytest.mark.podflare(reachable=[("192.0.2.1", 80)])
        def test_elsewhere(podflare_sandbox):
            pass

        @pytest.mark.podflare(reachable="127.0.0.1:80")
        def test_no_list(podflare_sandbox):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines_random(
        ["*reachable: expected a loopback address, *192.0.2.1*", "*reachable: expected a list such as *"]
    )
