"""Blocks as text for people: colours and box lines on a terminal, plain aligned columns elsewhere."""

from __future__ import annotations

from textwrap import wrap
from typing import IO, TYPE_CHECKING, Literal, assert_never

from otagate.cli.render.blocks import Block, Blocks, Code, Facts, Heading, Items, Line, Table, Tone

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {Tone.PLAIN: "", Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "bold red", Tone.DIM: "dim"}

_LONGEST_RULE = 100
_LEAST_PROSE = 40
"""Narrower columns of prose are harder to read than a line of their own."""
_PROSE = frozenset({"reason", "detail", "about", "what", "gates"})
"""Columns whose cells need no header to be understood, when they stand below their row."""

_WORDS = {
    **dict.fromkeys(("done", "pass", "holds", "open"), "green"),
    **dict.fromkeys(("warn", "paused", "insufficient", "inconclusive", "no_data", "stale"), "yellow"),
    **dict.fromkeys(("fail", "error", "failed", "stopped", "EXPIRED"), "bold red"),
    "do": "bold",
    "later": "dim",
}
"""Cells that are nothing but one of these words are coloured: statuses and verdicts."""


def draw(blocks: Blocks, stream: IO[str], *, colour: bool, fits: bool = False) -> None:
    """Write the blocks to ``stream``: laid out for a terminal's width, or as plain text that greps well.

    Args:
        blocks: What to write.
        stream: Where to.
        colour: Whether the terminal may show colours.
        fits: Whether tables have to fit its width, as on every terminal; with ``colour`` they do.
    """
    if colour or fits:
        _draw_rich(blocks, stream, colour=colour)
        return
    for number, block in enumerate(blocks):
        if number and isinstance(block, Heading | Table):
            stream.write("\n")
        stream.write("".join(f"{line}\n" for line in plain(block)))


def plain(block: Block) -> list[str]:
    """Give a block as lines without colour."""
    match block:
        case Heading(text) | Line(text):
            return text.split("\n")
        case Facts(pairs):
            width = max((len(name) for name, _ in pairs), default=0)
            return [f"  {name:<{width}}  {value}" for name, value in pairs]
        case Table(headers, rows):
            return _columns([headers, *rows])
        case Items(items, numbered):
            return [f"  {f'{at}.' if numbered else '-'} {item}" for at, item in enumerate(items, 1)]
        case Code(text):
            return [f"    {line}" for line in text.rstrip("\n").split("\n")]
    assert_never(block)


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    # A reason may be hundreds of letters long; the rule below the headers need not be.
    lines.insert(1, "  ".join("-" * min(width, _LONGEST_RULE) for width in widths))
    return ["  " + line for line in lines]


def _draw_rich(blocks: Blocks, stream: IO[str], *, colour: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal pays for it

    system: Literal["auto"] | None = "auto" if colour else None
    console = Console(file=stream, force_terminal=True, highlight=False, soft_wrap=True, color_system=system)
    for number, block in enumerate(blocks):
        if number and isinstance(block, Heading | Table):
            console.print()
        _print_rich(console, block)


def _print_rich(console: Console, block: Block) -> None:
    from rich.table import Table as RichTable  # noqa: PLC0415 - only a terminal pays for it
    from rich.text import Text  # noqa: PLC0415 - likewise

    match block:
        case Heading(text):
            console.print(Text(text, style="bold"))
        case Line(text, tone):
            console.print(Text(text, style=_STYLES[tone]))
        case Facts(pairs):
            grid = RichTable.grid(padding=(0, 2))
            for name, value in pairs:
                grid.add_row(Text(f"  {name}", style="dim"), Text(value))
            console.print(grid)
        case Table(headers, rows):
            _print_table(console, headers, rows)
        case Items() | Code():
            for line in plain(block):
                console.print(Text(line))
        case _:
            assert_never(block)


def _print_table(console: Console, headers: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Draw a table that fits the terminal, and break no cell but prose.

    Prose in the last column goes on below itself where there is room for it; all else that does not fit stands below its row.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - only a terminal pays for it
    from rich.text import Text  # noqa: PLC0415 - likewise

    widths = [max(cell_len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    shown, room = _fitting(widths, console.width), console.width - sum(widths[:-1]) - 2 * len(widths)
    if shown == len(headers) - 1 and headers[-1] in _PROSE and room >= _LEAST_PROSE:
        shown, widths[-1] = len(headers), room

    def line(cells: tuple[str, ...], style: str = "") -> Text:
        text = Text("  ")
        for at, cell in enumerate(cells[:shown]):
            gap = " " * (widths[at] - cell_len(cell) + 2) if any(cells[at + 1 : shown]) else ""
            text.append(cell, style=style or _WORDS.get(cell, "")).append(gap)
        return text

    console.print(line(headers, "bold"))
    dash = "-" if console.color_system is None else "─"
    console.print(Text("  " + dash * (sum(widths[:shown]) + 2 * (shown - 1)), style="dim"))
    for row in rows:
        first, *more = wrap(row[-1], widths[-1], break_on_hyphens=False) or [""] if shown == len(row) else row[-1:]
        console.print(line((*row[:-1], first)))
        for text in more:
            console.print(Text(" " * (sum(widths[:-1]) + 2 * len(widths)) + text))
        for below in _below(headers[shown:], row[shown:], console.width):
            console.print(Text(below, style="dim"))


def _fitting(widths: list[int], most: int) -> int:
    """Tell how many columns fit side by side, at least one."""
    used, fit = 0, 0
    for width in widths:
        used += width + 2
        if fit and used > most:
            break
        fit += 1
    return fit


def _below(headers: tuple[str, ...], row: tuple[str, ...], width: int) -> list[str]:
    told = [(name, cell) for name, cell in zip(headers, row, strict=True) if cell not in {"", "-"}]
    text = " · ".join(cell if name in _PROSE else f"{name} {cell}" for name, cell in told)
    return wrap(text, max(width, 20), initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
