"""Templates of a user's own: imports, files, variables, a setup that is run once, a Python."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare import BadRequestError, Sandbox, ServerError
from podflare_emulator import Emulator, SettingsError
from podflare_emulator.vocabulary.templates import read_file

from ..matrix import SLOW
from ..serving import serving

_SETUP = """
import os
made = json.dumps({"by": os.getpid(), "currency": os.environ["CURRENCY"]})
open("/root/made", "a").write("once\\n")
lines = (line for line in open("/data/lines"))
next(lines)
"""
_TEMPLATES = {
    "full": {
        "imports": ["json", "xml.dom.minidom", "os.path as p"],
        "files": {"/data/lines": "1\n2\n3\n", "/data/tool": b"#!/bin/sh\necho tool\n"},
        "env": {"CURRENCY": "EUR"},
        "setup": _SETUP,
    },
    "shell": {"setup": "#!/bin/bash\necho $((6 * 7)) > /root/answer\n"},
    "broken": {"setup": "import sys\nprint('why', file=sys.stderr)\nsys.exit(3)"},
    "missing": {"imports": ["no_such_module as n"]},
}


@pytest.fixture(
    scope="module",
    params=[("namespace", "live"), ("preload", "live"), ("portable", "live"), ("auto", "replay")],
    ids="-".join,
)
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    isolation, fork = request.param
    with serving(isolation, fork=fork, templates=_TEMPLATES) as emulator:
        yield emulator


@SLOW
def test_it_has_what_the_template_says_and_what_the_setup_has_left(emulator: Emulator) -> None:
    said = set()
    for _ in range(6):  # more than a pool has
        with Sandbox(template="full") as sandbox:
            result = sandbox.run_code("print(made, xml.dom.minidom.__name__, p.sep, next(lines), end='')")
            assert result.stderr == ""
            said.add(result.stdout)
            assert sandbox.run_code("print(open('/root/made').read())").stdout == "once\n"
            assert sandbox.run_code("sh /data/tool; echo $CURRENCY", language="bash").stdout == "tool\nEUR"
            sandbox.run_code("open('/root/made', 'a').write('x'); made = 1")
    if emulator.settings.fork == "live":
        assert len(said) == 1  # the same process has set up all of them
    assert all(line.endswith("xml.dom.minidom / 2") for line in said)


def test_children_of_it_go_on_from_there(emulator: Emulator) -> None:
    with Sandbox(template="full") as sandbox:
        sandbox.run_code("x = next(lines)")
        (child,) = sandbox.fork(1)
        assert (
            child.run_code("print(x.strip(), next(lines).strip(), json.loads(made)['currency'])").stdout
            == "2 3 EUR"
        )
        sandbox.merge_into(child)
        assert sandbox.run_code("print(x.strip())").stdout == "2"


def test_a_setup_in_a_shell(emulator: Emulator) -> None:
    with Sandbox(template="shell") as sandbox:
        assert sandbox.run_code("cat /root/answer", language="bash").stdout == "42"


def test_what_is_arranged_for_a_test_comes_on_top(emulator: Emulator) -> None:
    emulator.files["/data/lines"] = "the test's\n"
    emulator.env["CURRENCY"] = "USD"
    with Sandbox(template="full") as sandbox:
        code = "print(open('/data/lines').read(), os.environ['CURRENCY'], json.loads(made)['currency'])"
        assert sandbox.run_code(code).stdout == "the test's\n USD EUR"


def test_one_of_its_own_size_is_set_up_too(emulator: Emulator) -> None:
    with Sandbox(template="full", ram_mib=512) as sandbox:
        assert sandbox.run_code("print(open('/root/made').read())").stdout == "once\n"


def test_a_setup_that_fails_and_a_module_that_is_missing_say_why(emulator: Emulator) -> None:
    with pytest.raises(ServerError, match=r"the setup of the template broken failed: .* exit code 3: why"):
        Sandbox(template="broken")
    with pytest.raises(
        ServerError, match=r"No module named 'no_such_module'; missing needs no_such_module in "
    ):
        Sandbox(template="missing")
    with pytest.raises(
        BadRequestError, match="there are default, python-datasci, full, shell, broken, missing"
    ):
        Sandbox(template="other")


def test_all_of_a_template_may_be_killed(emulator: Emulator) -> None:
    """Those that have been set up together are a family, and see each other."""
    with Sandbox(template="shell") as sandbox:
        sandbox.run_code("kill -9 -1", language="bash")
    with Sandbox(template="shell") as again:
        assert again.run_code("cat /root/answer", language="bash").stdout == "42"


@SLOW
@pytest.mark.parametrize("isolation", ["namespace", "portable"])
def test_a_python_of_its_own(tmp_path: Path, isolation: str) -> None:
    tmp_path.chmod(0o755)
    venv.create(tmp_path / "venv", symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
    )
    Path(packages.stdout.strip(), "only_there.py").write_text("x = 7\n", encoding="utf-8")
    templates = {"own": {"python": python, "imports": ["only_there"], "setup": "y = only_there.x + 1"}}
    with serving(isolation, templates=templates) as emulator, emulator.redirect_clients():  # noqa: SIM117
        with Sandbox(template="own") as own, Sandbox() as plain:  # once they are redirected
            assert own.run_code("print(only_there.x, y)").stdout == "7 8"
            assert "ModuleNotFoundError" in plain.run_code("import only_there").stderr
            (child,) = own.fork(1)
            own.merge_into(child)
            assert own.run_code("print(y)").stdout == "8"


@SLOW
def test_datasci_has_imported_its_packages() -> None:
    for package in ("pandas", "scipy", "matplotlib"):
        pytest.importorskip(package)
    with serving() as emulator, Sandbox(host=emulator.url, template="python-datasci") as sandbox:
        code = (
            "import sys; print([name for name in ('scipy', 'matplotlib.pyplot') if name not in sys.modules])"
        )
        assert sandbox.run_code(code).stdout == "[]"
        code = "print(pd.DataFrame({'a': np.arange(3)}).a.sum(), scipy.__name__, matplotlib.get_backend().lower())"
        assert sandbox.run_code(code).stdout == "3 scipy agg"
        plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('/root/plot.png')"
        assert sandbox.run_code(plot).exit_code == 0


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        (["reports"], "templates: expected a dict such as"),
        ({"default": {}}, "templates: default is the template of sandboxes that name none"),
        ({"x": []}, "templates: x: expected a dict such as"),
        (
            {"x": {"import": ["json"]}},
            "templates: x: no field 'import'; there are imports, files, env, setup, python",
        ),
        (
            {"x": {"imports": "json"}},
            r"templates: x: imports: expected a list such as \['pandas as pd', 'numpy'\]",
        ),
        ({"x": {"imports": ["a b"]}}, "templates: x: imports: expected 'numpy' or 'pandas as pd', got 'a b'"),
        ({"x": {"files": {"data": ""}}}, "templates: x: files: 'data': the sandbox path must be absolute"),
        (
            {"x": {"files": {"/d": Path("/no/such")}}},
            "templates: x: files: /d: no such file or folder here: /no/such",
        ),
        ({"x": {"env": {"PATH": "/"}}}, "templates: x: env: PATH is the sandbox's own"),
        ({"x": {"setup": 5}}, "templates: x: setup: expected code, or the Path of a script, got 5"),
        ({"x": {"python": "/no/such/python"}}, "templates: x: python: no executable file '/no/such/python'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(templates: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Emulator(templates=templates)  # type: ignore[arg-type]


def test_a_file_of_templates_names_files_beside_it() -> None:
    read = read_file(Path(__file__).parents[1] / "examples" / "templates" / "templates.toml")
    assert read["reports"].imports == {
        "json": "json",
        "collections": "collections",
        "collections.abc": "collections.abc",
        "d": "decimal",
    }
    assert [path for path, _, _ in read["reports"].files] == ["/data/prices.csv"]
    assert read["reports"].language == "python"
    assert read["shell"].language == "bash"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[", encoding="utf-8")
    (tmp_path / "lost.toml").write_text("[x]\nsetup_file = 'lost.py'\n", encoding="utf-8")
    for name, said in (
        ("none", "none.toml: No such file"),
        ("bad", "is not TOML"),
        ("lost", "x: setup_file: .*lost.py"),
    ):
        with pytest.raises(SettingsError, match=f"templates: .*{said}"):
            read_file(tmp_path / f"{name}.toml")


@SLOW
def test_the_command_takes_a_file() -> None:
    example = os.path.join(os.path.dirname(__file__), "..", "examples", "templates", "templates.toml")
    command = [sys.executable, "-m", "podflare_emulator", "exec", "--templates", example, "--"]
    program = "from podflare import Sandbox; print(Sandbox(template='reports').run_code('print(len(prices))').stdout)"
    run = subprocess.run(
        [*command, sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (run.stdout, run.returncode) == ("2\n", 0), run.stderr
