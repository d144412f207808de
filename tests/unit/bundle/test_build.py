from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.bundle import build
from otagate.bundle.build import MAX_LINE_CHARS, TAIL_LINES, run_build
from otagate.errors import AccessError, BuildError
from otagate.policy.model.bundles import BuildSpec

_ENVIRON = {"PATH": "/usr/bin:/bin"}


def _lines(spec: BuildSpec, root: Path) -> list[str]:
    lines: list[str] = []
    run_build(spec, root, _ENVIRON, lines.append)
    return lines


def _failure(spec: BuildSpec, root: Path) -> BuildError:
    with pytest.raises(BuildError) as caught:
        _lines(spec, root)
    assert caught.value.remedy
    return caught.value


def _python(code: str) -> BuildSpec:
    return BuildSpec((sys.executable, "-c", code))


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def _has_died(pid: int) -> bool:
    """A killed process of a killed parent is buried by init, which takes a moment."""
    end = time.monotonic() + 30
    while _is_alive(pid) and time.monotonic() < end:
        time.sleep(0.005)
    return not _is_alive(pid)


def _ended(command: str, folder: Path) -> BuildError:
    """Give how a build ended that says its process id and goes on; on a busy machine that takes longer than a moment."""
    for seconds in (1, 5, 25):
        error = _failure(BuildSpec(command, timeout=timedelta(seconds=seconds)), folder)
        assert f"longer than {seconds}s" in error.what
        if error.details:
            return error
    raise AssertionError("it does not say its process id")


def test_without_a_command_nothing_runs(tmp_path: Path) -> None:
    assert _lines(BuildSpec(), tmp_path / "missing") == []


def test_a_text_goes_through_the_shell_in_the_folder(tmp_path: Path) -> None:
    assert _lines(BuildSpec("echo one && echo $((1+1)) >&2; pwd"), tmp_path) == ["one", "2", str(tmp_path)]


def test_a_list_runs_as_it_is(tmp_path: Path) -> None:
    assert _lines(BuildSpec(("echo", "$HOME", "a  b", "&&")), tmp_path) == ["$HOME a  b &&"]


def test_the_command_sees_the_short_list_only(tmp_path: Path) -> None:
    lines: list[str] = []
    environ = {**_ENVIRON, "OTAGATE_SIGNING_KEY": "k", "MY_TOKEN": "t", "VITE_MODE": "m"}
    run_build(BuildSpec(("env",), env=("VITE_*",)), tmp_path, environ, lines.append)
    assert sorted(lines) == [f"PATH={_ENVIRON['PATH']}", "VITE_MODE=m"]


def test_it_has_no_input_and_no_terminal(tmp_path: Path) -> None:
    assert _lines(BuildSpec("cat; test -t 1 || echo none; (: </dev/tty) 2>/dev/null || echo no tty"), tmp_path) == [
        "none",
        "no tty",
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (r"w(b'a\nb')", ["a", "b"]),
        (r"w(b'a\r\nb\r\n')", ["a", "b"]),
        (r"w(b'\xff\xfe ok\n')", ["�� ok"]),
        (r"w(b'\xc3'); w(b'\xa9\n')", ["é"]),
        (r"w(b'cut \xc3')", ["cut �"]),
        (r"w(b'\n\n')", ["", ""]),
        (r"w(b'')", []),
        (r"w(b'a\r'); w(b'\nb\n')", ["a", "b"]),
    ],
)
def test_lines(tmp_path: Path, code: str, expected: list[str]) -> None:
    assert _lines(_python(f"import os; w = lambda b: os.write(1, b); {code}"), tmp_path) == expected


def test_huge_lines_are_cut(tmp_path: Path) -> None:
    lines = _lines(_python("print('x' * 1_000_000); print('y' * 9000, end='\\r\\n'); print('z' * 9000, end='')"), tmp_path)
    assert [(line[0], len(line)) for line in lines] == [(ch, MAX_LINE_CHARS) for ch in "xyz"]


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    seen: list[str] = []

    def on_line(line: str) -> None:
        seen.append(line)
        go.touch()

    run_build(BuildSpec("echo first; until [ -e go ]; do :; done; echo second", timeout=timedelta(seconds=20)), tmp_path, _ENVIRON, on_line)  # fmt: skip
    assert seen == ["first", "second"]


def test_a_failure_carries_code_tail_and_remedy(tmp_path: Path) -> None:
    error = _failure(BuildSpec(f"for i in $(seq {TAIL_LINES + 5}); do echo line $i; done; exit 3"), tmp_path)
    assert error.found == "exit code 3"
    assert error.details == tuple(f"line {number}" for number in range(6, TAIL_LINES + 6))


def test_colours_and_control_characters_are_not_in_the_message(tmp_path: Path) -> None:
    error = _failure(BuildSpec(r"printf '\033[31mred\033[0m\033]0;title\007\n'; exit 1"), tmp_path)
    assert error.details == ("red\\x1b]0;title\\x07",)


@pytest.mark.parametrize(("name", "word"), [("KILL", "memory"), ("SEGV", "mend")])
def test_a_signal_is_named(tmp_path: Path, name: str, word: str) -> None:
    error = _failure(BuildSpec(f"kill -{name} $$"), tmp_path)
    assert error.found == f"ended by SIG{name}"
    assert word in (error.remedy or "")


def test_a_signal_without_a_name_is_numbered() -> None:
    assert build._status(-40) == "ended by signal 40"


def test_a_tool_that_the_shell_does_not_find(tmp_path: Path) -> None:
    error = _failure(BuildSpec("no-such-tool build"), tmp_path)
    assert error.found == "exit code 127"
    assert "PATH" in (error.remedy or "")


def test_a_command_that_is_not_found(tmp_path: Path) -> None:
    error = _failure(BuildSpec(("no-such-tool", "build")), tmp_path)
    assert error.subject == "no-such-tool"
    assert "PATH" in (error.remedy or "")


def test_a_command_that_may_not_be_run(tmp_path: Path) -> None:
    script = tmp_path / "build.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o644)
    with pytest.raises(AccessError, match=r"build\.sh"):
        _lines(BuildSpec((str(script),)), tmp_path)


@pytest.mark.parametrize("command", ["", "  ", (), ("",), ("a\0b",), "a\0b"])
def test_what_is_no_command(tmp_path: Path, command: str | tuple[str, ...]) -> None:
    assert _failure(BuildSpec(command), tmp_path).what == "this is not a command"


def test_a_missing_folder(tmp_path: Path) -> None:
    assert _failure(BuildSpec("true"), tmp_path / "app").subject == str(tmp_path / "app")


@pytest.mark.parametrize("command", ["echo $$; sleep 200", "echo $$; exec >&- 2>&-; sleep 200"])
def test_a_build_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path, command: str) -> None:
    began = time.monotonic()
    error = _ended(command, tmp_path)
    assert time.monotonic() - began < 100
    assert _has_died(int(error.details[0]))


def test_a_build_that_ignores_the_polite_signal_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_GRACE", 0.1)
    assert _has_died(int(_ended("trap '' TERM; echo $$; while :; do sleep 0.05; done", tmp_path).details[0]))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError("closed")])
def test_ctrl_c_and_a_failing_listener_end_the_build(tmp_path: Path, error: BaseException) -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.append(int(line))
        raise error

    with pytest.raises(type(error)):
        run_build(BuildSpec("echo $$; sleep 60"), tmp_path, _ENVIRON, on_line)
    assert _has_died(pids[0])


def test_a_process_that_the_build_leaves_behind_does_not_hold_us_up(tmp_path: Path) -> None:
    began = time.monotonic()
    lines = _lines(BuildSpec("sleep 200 & echo $!"), tmp_path)
    assert time.monotonic() - began < 100
    os.kill(int(lines[0]), 9)


def test_time_counts_for_the_whole_build_also_when_it_talks(tmp_path: Path) -> None:
    spec = replace(_python("while True: print('.')"), timeout=timedelta(milliseconds=300))
    assert "longer" in _failure(spec, tmp_path).what
