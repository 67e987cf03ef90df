"""The documentation as a site: `sphinx-build -W docs build/docs`. A link that leads nowhere is an error."""

from __future__ import annotations

import os
import re
from functools import partial
from importlib.metadata import version as _version
from pathlib import Path

from sphinx.application import Sphinx

project = "Podflare emulator"
author = "the Podflare emulator's authors"
project_copyright = "MIT licence"
version = release = _version("podflare-emulator")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxarg.ext",
    "sphinx_copybutton",
]
exclude_patterns = ["reference/README.md"]
html_theme = "furo"
html_title = "Podflare emulator"

myst_heading_anchors = 4
myst_enable_extensions = ["linkify"]
myst_linkify_fuzzy_links = False
suppress_warnings = ["myst.header", "myst.iref_ambiguous"]

default_role = "code"  # docstrings write `name`, as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": False}
autodoc_mock_imports = [
    "agents",
    "anthropic",
    "autogen_core",
    "dspy",
    "google",
    "langchain_core",
    "llama_index",
    "pydantic_ai",
    "smolagents",
]  # the frameworks, which need not be installed
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

_TOP = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\((?P<path>(?!https?:)[^)#:]+)(?P<anchor>#[^)]*)?\)")
_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_SECTION = re.compile(r"(Args|Raises|Returns|Yields):$")


def _read_page(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = _LINK.sub(partial(_on_the_site, f"docs/{name}.md"), source[0])


def _read_included(app: Sphinx, relative: Path, name: str, content: list[str]) -> None:
    content[0] = _LINK.sub(partial(_on_the_site, str(relative.name), page=f"docs/{name}.md"), content[0])


def _on_the_site(file: str, link: re.Match[str], page: str = "") -> str:
    """A link as it is read in the repository, from `file`, as one that leads there on the site, from `page`."""
    here = (_TOP / file).parent
    target = (here / link["path"]).resolve()
    if not target.exists():
        raise ValueError(f"{file}: a link leads nowhere: {link['path']}")
    path = target.relative_to(_TOP).as_posix()
    if path in _PAGES:
        path = f"docs/{_PAGES[path]}"
    if not (path.startswith("docs/") and path.endswith((".md", ".svg"))):
        return f"] (`{path}` in the repository)"
    return f"]({os.path.relpath(path, Path(page or file).parent)}{link['anchor'] or ''})"


def _mark_examples(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """In docstrings, as in Markdown, what is indented after a paragraph is an example: reStructuredText wants `::`."""
    marked = list[str]()
    for line in lines:
        before = next((earlier for earlier in reversed(marked) if earlier), "")
        begins = line.startswith("    ") and marked[-1:] == [""] and not before.startswith(" ")
        if begins and not _SECTION.match(before):
            marked += ["::", ""]
        marked.append(line)
    lines[:] = marked


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_included)
    app.connect("autodoc-process-docstring", _mark_examples, priority=1)
