"""The documents' code blocks are the files of this directory, and the files run."""

from __future__ import annotations

import io
import re
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from podflare_emulator.api.contract.control import calls
from podflare_emulator.control.control import Control

_ROOT = Path(__file__).parents[2]
_DOCUMENTS = sorted([*_ROOT.glob("*.md"), *_ROOT.glob("docs/**/*.md"), *_ROOT.glob("podflare/*.md")])
_HOWTO = _ROOT / "docs" / "howto"
_BLOCK = re.compile(
    r"(?:<!-- (?P<part>from )?(?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)```\n", re.DOTALL
)
_FILES = ("python", "yaml", "dockerfile")  # whose blocks are files; of other languages, those that name one
_PROGRAMS = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
# What Python's handle and fixtures need for functions as stubs, and for their own sandboxes.
_OF_THE_HANDLE = {"next_question", "reply", "run_real", "lasting_ids", "leave_only_default_stubs"}
_SAYS = re.compile(r"print\(.*\)  # (.+)")


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_ROOT)))
def test_every_block_is_an_example_that_runs(document: Path) -> None:
    for block in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        if block["language"] in _FILES or block["file"]:
            assert block["file"], (
                f"no '<!-- [from ]tests/examples/NAME -->' before this block:\n{block['code']}"
            )
            assert block["file"].startswith("tests/examples/")
            file = (_ROOT / block["file"]).read_text(encoding="utf-8")
            assert block["code"] == file or (block["part"] and block["code"] in file)


def test_every_page_of_how_to_is_in_its_index() -> None:
    pages = {path.name for path in _HOWTO.glob("*.md")} - {"README.md"}
    index = (_HOWTO / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_ROOT)))
def test_every_link_to_a_page_leads_there(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+\.md)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_a_pipeline_is_yaml_that_runs_the_tests(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    text = (_ROOT / "tests" / "examples" / name).read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)
    jobs = jobs.get("jobs", jobs)
    assert set(jobs) == {"emulator", "real-api"}
    assert all("pytest " in str(job) for job in jobs.values())


def test_the_requirements_of_the_pipelines_are_this_repositorys_packages() -> None:
    lines = (_ROOT / "tests" / "examples" / "requirements-test.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, _, address = line.partition(" @ git+")
        if address:
            project = _ROOT / address.partition("#subdirectory=")[2] / "pyproject.toml"
            assert f'name = "{name}"' in project.read_text(encoding="utf-8")
    assert sum(" @ git+" in line for line in lines) == 2


def test_every_control_call_is_on_the_page_of_other_languages() -> None:
    page = (_HOWTO / "other-languages.md").read_text(encoding="utf-8")
    rows = "\n".join(re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == set(calls(Control)) - _OF_THE_HANDLE


@pytest.mark.parametrize("program", _PROGRAMS, ids=lambda path: path.name)
def test_program_prints_what_its_comments_say(program: Path, podflare_emulator: object) -> None:
    said = io.StringIO()
    with redirect_stdout(said):
        runpy.run_path(str(program), run_name="__main__")
    expected = _SAYS.findall(program.read_text(encoding="utf-8"))
    printed = said.getvalue().splitlines()
    assert [line for line in expected if line not in printed] == []


def test_every_message_of_troubleshooting_is_one_of_ours() -> None:
    sources = [_ROOT / "podflare" / "src", _ROOT / "podflare_emulator", _ROOT / "pytest_plugin"]
    text = "\n".join(path.read_text(encoding="utf-8") for source in sources for path in source.rglob("*.py"))
    text = re.sub(r"\"\s*\n\s*f?\"", "", text).replace("{NAME}", "podflare")  # literals that are one text
    page = (_ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").partition("## In a sandbox")[0]
    messages = re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    assert len(messages) > 20
    strange = {
        message for message in messages for part in message.split("...") if part.strip(" :") not in text
    }
    assert strange == set()
