from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from otagate.policy import load_policy
from otagate.policy.defaults import DEFAULT_GATES, SHAPES
from otagate.policy.validate import schema
from otagate.policy.versioning import PLACEHOLDERS

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/policy.md"


@pytest.fixture(name="script", scope="module")
def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("policy_docs", ROOT / "scripts/policy_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_writes(script: ModuleType) -> None:
    assert PAGE.read_text(encoding="utf-8") == script.render(schema(), DEFAULT_GATES), "run scripts/policy_docs.py"


def test_every_key_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for key, node in schema()["properties"].items():
        assert f"### `{key}`" in page
        for name in node.get("properties", {}):
            assert f"| `{key}.{name}` |" in page


def test_every_placeholder_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{{{name}}}` |" in page for name in PLACEHOLDERS)


def test_the_smallest_policy_of_the_page_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    assert set(yaml.safe_load(block[1])) == {"version", "app", "branches", "trust"}
    path = tmp_path / "otagate.yml"
    path.write_text(block[1])
    assert load_policy(path).warnings == ()


def test_the_example_with_gates_of_every_kind_has_no_warnings() -> None:
    policy = load_policy(ROOT / "examples/gated/otagate.yml")
    assert policy.warnings == ()
    shapes = ("max", "min", "max_increase", "split", "value")
    assert {shape for shape in shapes for gate in policy.gates if getattr(gate, shape) is not None} == set(shapes)
    assert policy.windows.freezes[0].reason == "holidays"
    assert [place.name for place in policy.notify] == ["releases", "oncall", "audit"]


def test_the_page_explains_every_kind_of_threshold() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{shape}` |" in page for shape in SHAPES)
