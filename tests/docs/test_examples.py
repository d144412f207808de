"""What the documents show can be used as it stands: policies load, YAML and JSON parse, actions are pinned."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from otagate.policy.load import load_policy
from otagate.policy.validate import schema

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(path for path in (ROOT / "examples").glob("*/*.md"))],
)
EXAMPLES = sorted(
    path
    for path in (ROOT / "examples").rglob("*")
    if path.suffix in {".yml", ".yaml"} and not {"node_modules", ".otagate"} & set(path.parts)
)
BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"", "yaml", "json", "console", "groovy", "ts", "text", "sh", "python"}
BASE = {"version": 1, "app": {"id": "com.example.app"}, "branches": {"main": {"channel": "stable"}}}
OUR_ACTION = "OWNER/otagate"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("text")) + 1
            name = str(page.relative_to(ROOT))
            found.append(Block(name, line, match["mark"] or "", match["language"], match["text"]))
    return found


BLOCKS = blocks()
YAML = [block for block in BLOCKS if block.language == "yaml"]


def is_policy(block: Block) -> bool:
    value = yaml.safe_load(block.text)
    return isinstance(value, dict) and bool(value) and set(value) <= set(schema()["properties"])


POLICIES = [block for block in YAML if is_policy(block)]


def test_there_are_pages_and_blocks_in_languages_that_are_known() -> None:
    assert len(PAGES) >= 10
    assert {block.language for block in BLOCKS} <= LANGUAGES
    assert len(POLICIES) >= 5
    # Every fence that opens is one of the blocks that were looked at.
    fences = sum(len(re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_parses(block: Block) -> None:
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_json_parses(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.mark.startswith("policy")], ids=str)
def test_what_is_marked_as_a_policy_is_one(block: Block) -> None:
    assert block in POLICIES


@pytest.mark.parametrize("block", POLICIES, ids=str)
def test_policies_load(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "otagate.yml"
    # A piece of a policy is completed by the least that every policy has.
    missing = {key: value for key, value in BASE.items() if key not in yaml.safe_load(block.text)}
    path.write_text(block.text + (yaml.safe_dump(missing) if missing else ""), "utf-8")
    assert load_policy(path).branches


def test_the_readme_s_policy_is_complete_and_without_warnings(tmp_path: Path) -> None:
    (block,) = [block for block in POLICIES if block.page == "README.md" and block.mark == "policy: checked"]
    path = tmp_path / "otagate.yml"
    path.write_text(block.text, "utf-8")
    policy = load_policy(path)
    assert policy.warnings == ()
    assert (policy.build.command, policy.build.output) == ("npm run build", "dist")
    assert policy.trust.keys == ("env:OTAGATE_TRUSTED_KEY",)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_are_valid(path: Path) -> None:
    if path.name == "otagate.yml":
        assert load_policy(path).branches
    else:
        assert yaml.safe_load(path.read_text("utf-8"))


def used_actions() -> list[tuple[str, str]]:
    files = [*PAGES, *EXAMPLES, ROOT / "action.yml", *(ROOT / ".github").rglob("*.yml")]
    return [
        (f"{file.relative_to(ROOT)}:{number}", line.split("uses:", 1)[1].strip())
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if re.match(r"\s*(?:- )?uses:", line)
    ]


def test_actions_are_pinned_by_commit_or_are_our_placeholder() -> None:
    used = used_actions()
    assert len(used) >= 5
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+(?:;.*)?")
    placeholder = re.compile(rf"{OUR_ACTION}@v\d+\.\d+\.\d+(?: #.*)?")
    loose = [(place, action) for place, action in used if not pinned.fullmatch(action) and not placeholder.fullmatch(action)]
    assert loose == []
    # A tag is for pages, where it shows which version is meant; what can be copied whole is pinned.
    assert [place for place, action in used if placeholder.fullmatch(action) and not place.split(":")[0].endswith(".md")] == []
