"""What the documents say of commands, options and exit codes is what the program says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from otagate.cli.main import VERBS, overview
from otagate.errors import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_what_the_parsers_say() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == script("command_docs").render(), "run scripts/command_docs.py"


def test_the_readme_shows_the_help_as_it_is() -> None:
    assert f"```\n{overview().rstrip()}\n```" in README


def test_the_readme_s_exit_codes_are_the_program_s() -> None:
    rows = re.findall(r"^\| (\d+) \| `([A-Z_]+)` \| .+ \|$", README, re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {code.name: int(code) for code in ExitCode}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_the_same_of_itself_everywhere(verb: str) -> None:
    module = importlib.import_module(f"otagate.cli.commands.{verb}")
    assert module.HELP.startswith(VERBS[verb].split(",")[0].split(";")[0][:20])


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not dead


def test_every_command_that_a_document_names_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")]
    named = {
        (page.name, verb)
        for page in pages
        for verb in re.findall(r"(?:`|^    |^\$ )otagate ([a-z]+)\b", page.read_text(), re.MULTILINE)
    }
    assert len(named) > 20
    assert not {(page, verb) for page, verb in named if verb not in VERBS}
