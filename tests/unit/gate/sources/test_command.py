"""Commands that fail, hang, flood, or look where they should not."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources.command import CommandMetrics, allowed_environment
from otagate.policy.model.sources import CommandSource

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "a.b", "stable", "1.0.0", NOW, NOW, 100)


def python(code: str, *arguments: str, timeout: float = 15) -> CommandSource:
    return CommandSource((sys.executable, "-S", "-c", code, *arguments), timedelta(seconds=timeout))


def failure(spec: CommandSource, root: Path) -> str:
    with pytest.raises(SourceError) as caught:
        CommandMetrics(spec, root, {}).read(QUERY)
    return str(caught.value)


def test_exit_code_and_tail_of_stderr_are_told(tmp_path: Path) -> None:
    code = "import sys; print('{\"bad\": 0, \"total\": 9}'); [print('line', n, file=sys.stderr) for n in range(9)]; sys.exit(3)"
    told = failure(python(code), tmp_path)
    assert "exit code 3: line 4 | line 5 | line 6 | line 7 | line 8" in told


def test_exit_code_without_words(tmp_path: Path) -> None:
    assert failure(python("raise SystemExit(1)"), tmp_path).endswith("exit code 1")


def test_signal_is_named(tmp_path: Path) -> None:
    assert "signal SIGTERM" in failure(python("import os; os.kill(os.getpid(), 15)"), tmp_path)


def test_stderr_cannot_forge_output(tmp_path: Path) -> None:
    told = failure(python("import sys; sys.stderr.write('\\x1b[2J::error::x\\n'); sys.exit(1)"), tmp_path)
    assert "\x1b" not in told


def test_long_stderr_is_cut(tmp_path: Path) -> None:
    told = failure(python("import sys; sys.stderr.write('x' * 300_000); sys.exit(1)"), tmp_path)
    assert len(told) < 8000


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(200)",
        "import os, time; os.close(1); os.close(2); time.sleep(200)",
        "import subprocess; subprocess.Popen(['sleep', '200']); print('{}')",
    ],
)
def test_hanging_commands_are_ended_with_their_children(code: str, tmp_path: Path) -> None:
    before = time.monotonic()
    told = failure(python(code, timeout=0.3), tmp_path)
    assert "no end after 300ms" in told
    assert time.monotonic() - before < 100


def test_flood_is_cut_off(tmp_path: Path) -> None:
    assert "more than 1048576 bytes" in failure(python("while True: print('x' * 100_000)"), tmp_path)


@pytest.mark.parametrize("argv", [("no-such-command-anywhere",), ("./not-executable",), ("a\0b",)])
def test_commands_that_do_not_start(argv: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "not-executable").write_text("x")
    assert "cannot be started" in failure(CommandSource(argv), tmp_path)


def test_missing_folder_is_told(tmp_path: Path) -> None:
    assert "cannot be started" in failure(python("print('{}')"), tmp_path / "gone")


def test_it_runs_in_the_root_without_stdin(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text("9")
    code = "import sys; assert sys.stdin.read() == ''; print('{\"bad\": 1, \"total\": %s}' % open('counts').read())"
    assert CommandMetrics(python(code), tmp_path, {}).read(QUERY).total == 9


def test_it_sees_no_key_of_ours(tmp_path: Path) -> None:
    environ = {"OTAGATE_SIGNING_KEY": "secret", "CAPGO_PRIVATE_KEY": "secret", "METRICS_TOKEN": "t", "PATH": os.environ["PATH"]}
    code = "import os; print('{\"bad\": %d, \"total\": %d}' % ('secret' in os.environ.values(), 1 + ('METRICS_TOKEN' in os.environ)))"
    found = CommandMetrics(python(code), tmp_path, environ).read(QUERY)
    assert (found.bad, found.total) == (0, 2)


def test_environment_is_an_allow_list() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "METRICS_DSN": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "GITHUB_TOKEN": "x",
        "OTAGATE_X": "x",
    }
    assert allowed_environment(environ) == {"PATH": "/bin", "LC_ALL": "C", "METRICS_DSN": "x"}
