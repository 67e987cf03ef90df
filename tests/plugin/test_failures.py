"""What the report of a failing test says of its sandboxes, and what to do."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from ..matrix import SLOW, servers


@SLOW
@pytest.mark.beside("xdist")
@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["here", "xdist"])
def test_junits_xml_and_a_failing_teardown_carry_the_journal(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        def test_call(podflare_sandbox):
            podflare_sandbox.run_code("called = 1")
            assert False

        @pytest.fixture
        def strict(podflare_sandbox):
            yield podflare_sandbox
            assert False

        def test_teardown(strict):
            strict.run_code("torn_down = 1")

        @pytest.mark.podflare(leaks="error")
        def test_leak(podflare_emulator):
            Sandbox().run_code("leaked = 1")

        def test_passes(podflare_sandbox):
            podflare_sandbox.run_code("passed = 1")
        """
    )
    result = pytester.runpytest_subprocess("--junit-xml=all.xml", *arguments)
    result.assert_outcomes(passed=3, failed=1, errors=2)
    assert len([line for line in result.outlines if "- Podflare journal -" in line]) == 3
    for code in ("called", "torn_down", "leaked"):
        result.stdout.fnmatch_lines([f"<sbx_* python: {code} = 1 (exit 0*"])
    cases = ElementTree.parse(pytester.path / "all.xml").iter("testcase")
    told = {
        str(case.get("name")): str(one.get("value"))
        for case in cases
        for one in case.iter("property")
        if one.get("name") == "podflare_journal"
    }
    assert set(told) == {"test_call", "test_teardown", "test_leak"}
    assert "torn_down = 1" in told["test_teardown"]


@SLOW
def test_junits_xml_has_the_journal_of_the_attempt_that_counts(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, log=False, nextitem=nextitem)
            item._initrequest()  # as pytest-rerunfailures does
            runtestprotocol(item, nextitem=nextitem)
            return True
        """
    )
    pytester.makepyfile(
        """
        attempts = []

        def test_it(podflare_sandbox):
            attempts.append(1)
            podflare_sandbox.run_code(f"attempt = {len(attempts)}")
            assert False
        """
    )
    pytester.runpytest_subprocess("--junit-xml=all.xml").assert_outcomes(failed=1)
    (journal,) = ElementTree.parse(pytester.path / "all.xml").iter("property")
    assert "attempt = 2" in str(journal.get("value"))


@SLOW
def test_a_test_of_a_wider_scopes_emulator_alone_has_it_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from podflare import Sandbox

        def test(podflare_emulator_module):
            with Sandbox() as sandbox:
                sandbox.run_code("x = 1")
            assert False
        """
    )
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*- Podflare journal -*", "<sbx_* python: x = 1*"])


@SLOW
@pytest.mark.parametrize("wanted", ["podflare_sandbox", "podflare_emulator", "trained"])
def test_a_mismatch_of_scopes_points_to_what_has_the_scope(pytester: pytest.Pytester, wanted: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def trained(sandbox): ...

        @pytest.fixture(scope="module")
        def box({wanted}): ...

        def test(box): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ScopeMismatch*",
            f"{wanted} is one test's own. *podflare_emulator_module*prepared_sandbox(scope='module')*",
        ]
    )


@SLOW
@pytest.mark.beside("fakefs")
@pytest.mark.parametrize("server", servers())
def test_a_path_is_looked_for_in_the_real_and_in_the_fake_file_system(
    pytester: pytest.Pytester, server: str
) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path
        import pytest

        Path("real.txt").write_text("real")

        @pytest.fixture
        def faked(fs):
            fs.create_file("/fake/in/fake.txt", contents="fake")

        @pytest.mark.podflare(files={"/data/real": Path("real.txt").absolute(), "/data/fake": Path("/fake")})
        def test_found(faked, podflare_sandbox):
            assert podflare_sandbox.download("/data/real") == b"real"
            assert podflare_sandbox.download("/data/fake/in/fake.txt") == b"fake"

        def test_made_there(faked, podflare_emulator, podflare_sandboxes):
            podflare_emulator.files["/data/fake"] = Path("/fake/in/fake.txt")
            assert podflare_sandboxes().download("/data/fake") == b"fake"

        @pytest.mark.podflare(files={"/data/x": Path("/no/such")})
        def test_missing(faked, podflare_emulator): ...

        @pytest.mark.podflare(files={"/data/x": Path("missing")})
        def test_missing_without(podflare_emulator): ...
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", f"--podflare-server={server}")
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*/no/such: No such file or directory, neither in pyfakefs' file system nor in the real one",
            f"*files[[]'/data/x']: missing in {pytester.path}: No such file or directory",
        ]
    )


def test_an_old_pytest_gets_a_sentence(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(
        sitecustomize="""
        import pytest

        del pytest.StashKey
        pytest.__version__ = "6.2.5"
        """
    )
    pytester.makepyfile("def test(): ...")
    pytester.syspathinsert()
    monkeypatch.setenv(
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
    )  # others may need a newer one too, and come first
    program = "import sitecustomize, runpy; runpy.run_module('pytest', run_name='__main__')"
    result = pytester.run(sys.executable, "-c", program, "-p", "pytest_podflare.plugin")
    assert result.ret != 0
    said = result.stdout.str() + result.stderr.str()
    assert "needs pytest 7 or newer, and this is 6.2.5" in said
