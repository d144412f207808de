"""Blocks as Markdown, for job summaries and pull requests. Every text is escaped: a branch name cannot become a link.

Hosts look for addresses, people and issues in what was rendered, where an escape is gone already. A comment between two
characters keeps them from finding any, and is not seen.
"""

from __future__ import annotations

import re
from typing import assert_never

from otagate.cli.render.blocks import Block, Blocks, Code, Facts, Heading, Items, Line, Table, Tone

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&@])")
_FOUND = re.compile(r"(:(?=//)|\\?@(?=\w)|\\?#(?=[0-9])|www(?=\.))", re.IGNORECASE)
_LIST = re.compile(r"^([-+=]|[0-9]+(?=[.)](?:\s|$)))")
"""What begins a list, a rule or the underline of a heading where a line begins with it."""
_SIGNS = {Tone.PLAIN: "", Tone.GOOD: "✅ ", Tone.WARN: "⚠️ ", Tone.BAD: "❌ ", Tone.DIM: ""}


def escape(text: str) -> str:
    """Escape what Markdown would read as markup, and keep the text on one line."""
    return _FOUND.sub(r"\1<!-- -->", _SPECIAL.sub(r"\\\1", text.replace("\r", " ").replace("\n", " ")))


def _line(text: str) -> str:
    return _LIST.sub(lambda found: f"\\{found[1]}" if not found[1].isdigit() else f"{found[1]}\\", escape(text.lstrip()))


def draw(blocks: Blocks) -> str:
    """Give the blocks as Markdown. Titles start at the third level: summaries of other steps stand above."""
    return "\n\n".join(_one(block) for block in blocks) + "\n"


def _one(block: Block) -> str:
    match block:
        case Heading(text):
            return f"### {escape(text)}"
        case Line(text, tone):
            return _SIGNS[tone] + "  \n".join(map(_line, text.split("\n")))
        case Facts(pairs):
            return _table(("", ""), pairs)
        case Table(headers, rows):
            return _table(headers, rows)
        case Items(items, numbered):
            return "\n".join(f"{f'{at}.' if numbered else '-'} {_line(item)}" for at, item in enumerate(items, 1))
        case Code(text, language):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
    assert_never(block)


def _table(headers: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> str:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return "\n".join("| " + " | ".join(cell if cell == "---" else escape(cell) for cell in line) + " |" for line in lines)
