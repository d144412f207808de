from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from otagate.cli.output import CommandEnv, Result
from otagate.cli.render import human, markdown
from otagate.cli.render.blocks import Block, Code, Facts, Heading, Items, Line, Table, Tone
from otagate.cli.terminal import Terminal
from otagate.errors import ConflictError

VIEW: list[Block] = [
    Heading("a heading"),
    Line("first\nsecond", Tone.BAD),
    Facts((("name", "value"), ("longer name", "x"))),
    Facts(()),
    Table(("a", "bee"), (("1", "2"), ("long cell", "[red]no markup[/red]"))),
    Items(("one", "two"), numbered=True),
    Items(("three",)),
    Code("otagate run\n", "sh"),
]
RESULT = Result("otagate/test/v1", {"b": "ü", "a": 1}, VIEW)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(*, tty: bool = True, **environ: str) -> tuple[Terminal, io.StringIO, io.StringIO]:
    out, err = (Tty(), Tty()) if tty else (io.StringIO(), io.StringIO())
    return Terminal({"TERM": "xterm", **environ}, out, err), out, err


def test_text_is_plain_and_greps_well() -> None:
    screen, out, _ = terminal(tty=False)
    screen.result(RESULT)
    assert out.getvalue() == (
        "a heading\nfirst\nsecond\n  name         value\n  longer name  x\n"
        "\n  a          bee\n  ---------  --------------------\n  1          2\n  long cell  [red]no markup[/red]\n"
        "  1. one\n  2. two\n  - three\n    otagate run\n"
    )


def test_a_terminal_gets_colour_and_no_markup_from_texts() -> None:
    screen, out, _ = terminal()
    screen.result(RESULT)
    text = out.getvalue()
    assert "\x1b[" in text
    assert "[red]no markup[/red]" in text
    for word in ("a heading", "second", "longer name", "long cell", "1. one", "- three", "otagate run"):
        assert word in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(name: str, value: str) -> None:
    screen, out, err = terminal(tty=True, **{name: value})
    screen.result(RESULT)
    screen.warn("careful")
    screen.progress("packing", 1, 2)
    assert "\x1b" not in out.getvalue() + err.getvalue()
    assert err.getvalue() == "warning: careful\n"


def test_an_empty_no_color_refuses_nothing() -> None:
    screen, _, err = terminal(NO_COLOR="")
    screen.warn("careful")
    assert err.getvalue() == "\x1b[33mwarning: careful\x1b[0m\n"


def test_json_is_sorted_and_keeps_letters() -> None:
    screen, out, _ = terminal()
    screen.configure("json", quiet=False)
    screen.result(RESULT)
    assert out.getvalue() == '{\n  "a": 1,\n  "b": "ü",\n  "schema": "otagate/test/v1"\n}\n'


def test_raw_is_printed_byte_for_byte_in_text_only() -> None:
    result = Result("otagate/test/v1", {"x": 1}, VIEW, raw='{"raw": true}')
    screen, out, _ = terminal()
    screen.result(result)
    assert out.getvalue() == '{"raw": true}'
    screen, out, _ = terminal()
    screen.configure("json", quiet=False)
    screen.result(result)
    assert '"x": 1' in out.getvalue()


def test_a_failure_says_everything_once() -> None:
    screen, out, err = terminal(tty=False)
    screen.failure(ConflictError("it is taken", "channel a", "free", "held", "wait", ("one", "two")))
    assert err.getvalue() == "error: it is taken: channel a\n  one\n  two\n  expected: free\n  found: held\n  try: wait\n"
    assert out.getvalue() == ""
    screen.configure("json", quiet=False)
    screen.failure(ConflictError("it is taken", details=("one",)))
    assert out.getvalue() == (
        '{\n  "details": [\n    "one"\n  ],\n  "exit_code": 5,\n  "schema": "otagate/error/v1",\n  "what": "it is taken"\n}\n'
    )


def test_a_child_s_line_cannot_forge_ours() -> None:
    screen, _, err = terminal(tty=False)
    screen.stream("\x1b[2Jerror: all is well\x07\r\n")
    assert err.getvalue() == "  | \\x1b[2Jerror: all is well\\x07\n"
    screen.configure("text", quiet=True)
    screen.stream("more")
    screen.note("more")
    screen.progress("packing", 1, 2)
    assert "more" not in err.getvalue()


def test_progress_draws_on_a_terminal_only_and_goes_away() -> None:
    screen, _, err = terminal(tty=False)
    screen.progress("packing", 1, 2)
    assert err.getvalue() == ""
    screen, _, err = terminal()
    screen.progress("packing", 1, 4)
    screen.progress("packing", 2, 4)
    assert "packing" in err.getvalue()
    screen.progress("packing", 4, 4)
    length = len(err.getvalue())
    screen.progress("sealing", 1, 2)
    assert "sealing" in err.getvalue()[length:]
    screen.failure(ConflictError("x"))
    assert err.getvalue().rstrip().endswith("error: x\x1b[0m")


def test_a_reader_that_left_is_not_minded(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        screen = Terminal({}, gone, gone)
        screen.result(RESULT)
        screen.warn("nobody reads this")
        screen.write("nor this")
    screen, out, _ = terminal()
    screen.write("but this")
    assert out.getvalue() == "but this"


def test_markdown_escapes_every_text() -> None:
    view: list[Block] = [
        Heading("a <b> `c`"),
        Line("![x](http://e) @team #1\nnext", Tone.WARN),
        Line("fine", Tone.GOOD),
        Line("bad", Tone.BAD),
        Facts((("a|b", "c\nd"),)),
        Table(("h",), (("~x~",),)),
        Items(("*i*",)),
        Items(("n",), numbered=True),
        Code("a ``` b", "sh"),
    ]
    assert markdown.draw(view) == (
        "### a \\<b\\> \\`c\\`\n\n"
        "⚠️ \\!\\[x\\](http:<!-- -->//e) \\@<!-- -->team \\#<!-- -->1  \nnext\n\n"
        "✅ fine\n\n❌ bad\n\n"
        "|  |  |\n| --- | --- |\n| a\\|b | c d |\n\n"
        "| h |\n| --- |\n| \\~x\\~ |\n\n"
        "- \\*i\\*\n\n1. n\n\n"
        "````sh\na ``` b\n````\n"
    )


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("GET https://m.example/a_b?c=1&d", r"GET https:<!-- -->//m.example/a\_b?c=1\&d"),
        ("see www.evil.example", "see www<!-- -->.evil.example"),
        ("_www.evil.example", r"\_www<!-- -->.evil.example"),
        ("me@evil.example, o/r#12 and # 12", r"me\@<!-- -->evil.example, o/r\#<!-- -->12 and \# 12"),
        ("- a list", r"\- a list"),
        ("===", r"\==="),
        ("12. a list", r"12\. a list"),
        ("1.0.0 is paused", "1.0.0 is paused"),
        ("    code", "code"),
    ],
)
def test_markdown_makes_no_links_mentions_or_lists_of_texts(text: str, drawn: str) -> None:
    assert markdown.draw([Line(text)]) == f"{drawn}\n"
    assert markdown.draw([Items((text,))]) == f"- {drawn}\n"


def test_lines_of_a_block_are_the_same_everywhere() -> None:
    assert human.plain(Line("a\nb")) == ["a", "b"]
    assert human.plain(Code("x\ny\n")) == ["    x", "    y"]


def test_a_command_without_listeners_is_silent(tmp_path: Path) -> None:
    env = CommandEnv({}, tmp_path)
    env.note("a")
    env.warn("b")
    env.stream("c")
    env.progress("d", 1, 2)
    assert env.clock.now().tzinfo is not None


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_cell_is_cut_or_broken_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    reason = "31 of 400 devices bad (7.75%): beyond doubt more than the 2% that the limit allows"
    out = io.StringIO()
    table = Table(
        ("gate", "verdict", "limit", "reason"),
        (("device_success_rate", "inconclusive", "≤ 2% bad", reason), ("a", "b", "-", "")),
    )
    human.draw([Line("x"), table], out, colour=True)
    lines = re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()).rstrip("\n").split("\n")
    assert max(map(len, lines)) <= int(columns)
    assert " ".join(" ".join(lines).split()).count(reason) == 1
    assert any(line.startswith("  device_success_rate") for line in lines)
    assert ("limit ≤ 2% bad" in out.getvalue()) == (columns == "40")
    assert lines[-1].split()[0] == "a"


def test_prose_in_the_last_column_goes_on_below_itself_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    table = Table(("#", "step", "detail"), (("1", "build", "wording " * 12), ("2", "seal", "")))
    human.draw([table], out, colour=False, fits=True)
    assert out.getvalue().split("\n")[2:] == [
        "  1  build  " + " ".join(["wording"] * 8),
        "            wording wording wording wording",
        "  2  seal",
        "",
    ]


def test_tables_fit_a_terminal_without_colour_and_a_pipe_has_whole_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    reason = "beyond doubt more than the 2% that the limit allows, which is why it is paused"
    shown = Result("x/v1", {}, (Table(("gate", "verdict", "reason"), (("crash_rate", "fail", reason),)),))
    screen, out, _ = terminal(tty=True, NO_COLOR="1")
    screen.result(shown)
    assert max(map(len, out.getvalue().split("\n"))) <= 60
    assert "\x1b" not in out.getvalue()
    piped, out, _ = terminal(tty=False)
    piped.result(shown)
    assert f"fail     {reason}\n" in out.getvalue()
