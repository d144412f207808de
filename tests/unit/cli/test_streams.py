"""Streams that are full, closed, left by their reader, or not UTF-8; and a folder that is gone."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from pathlib import Path

import pytest

from otagate.__main__ import main as entry
from otagate.cli import main as module
from otagate.cli.output import Result
from otagate.cli.render.blocks import Code
from otagate.cli.terminal import Terminal, standard_streams
from otagate.errors import UnavailableError, UsageError

FULL = OSError(errno.ENOSPC, "No space left on device")
LEFT = BrokenPipeError(errno.EPIPE, "Broken pipe")


class Failing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str, /) -> int:
        raise self.error


def result() -> Result:
    return Result("otagate/test/v1", {"a": 1}, [])


def test_a_full_output_is_an_error_that_names_it() -> None:
    terminal = Terminal({}, Failing(FULL), io.StringIO())
    with pytest.raises(UnavailableError, match=r"(?s)standard output.*full"):
        terminal.write("x")
    with pytest.raises(UnavailableError, match=r"(?s)standard output.*full"):
        terminal.result(Result("s", {}, [], raw="text"))


@pytest.mark.parametrize("output_format", ["text", "json", "markdown"])
def test_a_reader_that_left_is_no_error(output_format: str) -> None:
    said = io.StringIO()
    terminal = Terminal({}, Failing(LEFT), said)
    terminal.configure(output_format, quiet=False)
    terminal.result(result())
    terminal.write("more")
    assert said.getvalue() == ""


def test_a_failure_is_told_as_far_as_the_streams_allow() -> None:
    said = io.StringIO()
    terminal = Terminal({}, Failing(FULL), said)
    terminal.configure("json", quiet=False)
    terminal.failure(UsageError("this is wrong"))
    assert said.getvalue() == "error: this is wrong\n"
    Terminal({}, io.StringIO(), Failing(FULL)).failure(UsageError("nobody hears this"))


def test_what_stays_in_the_buffer_of_a_real_file_goes_nowhere(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        real = Terminal({}, stream, io.StringIO())
        stream.write("kept back")

        def fail(_: str) -> int:
            raise LEFT

        stream.write = fail  # type: ignore[method-assign]
        real.write("x")
        assert Path(f"/proc/self/fd/{stream.fileno()}").samefile(os.devnull)


def test_streams_that_were_closed_lead_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    out, err = standard_streams()
    with out, err:
        assert (out.name, err.name) == (os.devnull, os.devnull)
        assert out.write("x") == 1


def test_a_closed_number_is_taken_before_a_file_can_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def closed(_: int) -> os.stat_result:
        raise OSError(errno.EBADF, "closed")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", closed)
        patched.setattr(os, "open", lambda path, _flags: opened.append(path))
        standard_streams()
    assert opened == [os.devnull] * 3


def test_a_terminal_that_is_not_utf_8_still_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    out, _ = standard_streams()
    out.write("1 → 2")
    out.flush()
    assert raw.getvalue() == b"1 \\u2192 2"
    sys.stdout.detach()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("output_format", "shown"),
    [
        ("text", b"    weight |#:_.| \\u2192 \\xe9\n"),
        ("json", b'{\n  "schema": "s",\n  "text": "\\u2588\\u00e9\\u00b7 \\ud83d\\ude00"\n}\n'),
    ],
)
def test_bars_and_json_are_read_where_the_terminal_is_not_utf_8(
    output_format: str, shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    out, _ = standard_streams()
    terminal = Terminal({}, out, io.StringIO())
    terminal.configure(output_format, quiet=False)
    terminal.result(Result("s", {"text": "█é· \U0001f600"}, [Code("weight |█▃▁·| → é")]))
    out.flush()
    assert raw.getvalue() == shown
    sys.stdout.detach()  # type: ignore[union-attr]


def test_a_folder_that_is_gone_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def gone() -> Path:
        raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(Path, "cwd", gone)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("PWD", "/was/here")
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert "error: the current folder cannot be used: /was/here" in capsys.readouterr().err


@pytest.mark.parametrize("stream", [None, Failing(FULL)])
def test_a_version_that_cannot_be_written_is_left_to_the_command_line(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["otagate", "--version"])
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(module, "main", lambda: asked.append(sys.argv[1:]))
    entry()
    assert asked == [["--version"]]


def test_the_version_needs_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["otagate", "--version"])
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        entry()
    assert (tmp_path / "out").read_text().startswith("otagate ")


def test_a_bug_shows_where_and_not_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> Result:
        raise RuntimeError("the key is hunter2hunter2")

    monkeypatch.setattr("otagate.cli.commands.status.run", broken)
    out, err = io.StringIO(), io.StringIO()
    assert module.run_command(["status"], {}, tmp_path, out, err) == 1
    assert "RuntimeError" in err.getvalue()
    assert "hunter2" not in out.getvalue() + err.getvalue()
