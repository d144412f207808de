"""docs/adversity.md names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?!---|what happens)(.+?) \| (.+?) \| `(.+?)` \|$", (ROOT / "docs" / "adversity.md").read_text("utf-8"), re.MULTILINE
)


def test_the_page_has_rows() -> None:
    assert len(ROWS) > 40
    assert len({what for what, _, _ in ROWS}) == len(ROWS)


@pytest.mark.parametrize("named", sorted({test for _, _, test in ROWS}))
def test_what_is_named_is_there(named: str) -> None:
    path, _, function = named.partition("::")
    assert re.search(rf"^def {function or 'test_'}", (ROOT / path).read_text("utf-8"), re.MULTILINE), named
