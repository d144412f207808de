"""Runs the app's own build command."""

from __future__ import annotations

import codecs
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, cast

from otagate._fs import translate
from otagate._text import harmless, span
from otagate.bundle.environment import build_environment
from otagate.errors import BuildError
from otagate.policy.model.bundles import BuildSpec

MAX_LINE_CHARS = 8192
"""What is longer is cut: minified code in a stack trace must not fill the log."""
TAIL_LINES = 20
"""Last lines of a failed build that its error carries."""

_READ = 64 * 1024
_POLL = 0.1  # seconds between looks whether the command has ended while something else holds its output open
_GRACE = 5.0  # seconds to end in after SIGTERM
_COMMAND_NOT_FOUND = 127  # Source: POSIX.1-2024, XCU 2.8.2, exit status of the shell
# Colours and cursor movements. Source: ECMA-48, 5.4 (control sequences).
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def run_build(spec: BuildSpec, root: Path, environ: Mapping[str, str], on_line: Callable[[str], None]) -> None:
    """Run the build command in ``root`` and wait for its end; without a command do nothing.

    The command runs without a terminal, in a process group of its own, which is ended as a whole when time is up, on Ctrl-C,
    and when ``on_line`` fails. It sees the variables of :func:`otagate.bundle.environment.build_environment`.

    Args:
        spec: The command (a text goes through ``/bin/sh -c``, a list runs as it is), its time and its variables.
        root: The app's folder.
        environ: The environment to pick from.
        on_line: Called with each line of output and errors as they come, without its end. The text is untrusted.

    Raises:
        BuildError: It cannot be started, failed (the last lines are in ``details``), or took too long.
        AccessError: It or the folder may not be run or entered.
    """
    if spec.command is None:
        return
    argv = ["/bin/sh", "-c", spec.command] if isinstance(spec.command, str) else list(spec.command)
    shown = harmless(spec.command if isinstance(spec.command, str) else " ".join(spec.command), 400)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    process = _start(argv, root, build_environment(environ, spec.env), shown)
    pipe = cast("IO[bytes]", process.stdout)  # there is one: the process was started with it
    deadline = time.monotonic() + spec.timeout.total_seconds()
    try:
        for line in _lines(process, pipe, deadline):
            tail.append(line)
            on_line(line)
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except (_TimeUpError, subprocess.TimeoutExpired):
        _end_group(process)
        raise _failure(f"the build took longer than {span(spec.timeout)}", shown, tail, _more_time(spec.timeout)) from None
    except BaseException:
        _end_group(process)
        raise
    finally:
        pipe.close()
    if code:
        raise _failure("the build failed", shown, tail, _remedy(code), found=_status(code))


class _TimeUpError(Exception):
    pass


def _start(argv: list[str], root: Path, env: dict[str, str], shown: str) -> subprocess.Popen[bytes]:
    if not root.is_dir():
        raise BuildError("the folder to build in is missing", harmless(str(root), 400), remedy="check app.dir in the policy")
    if not argv or not argv[-1].strip() or "\0" in "".join(argv):
        raise BuildError("this is not a command", shown, remedy="check build.command in the policy")
    try:
        # The command comes from the policy, which is as trusted as the code that it builds.
        return subprocess.Popen(  # noqa: S603
            argv,
            cwd=root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise BuildError("the build command was not found", harmless(argv[0]), remedy=_remedy(_COMMAND_NOT_FOUND)) from error
    except OSError as error:
        raise translate(error, "cannot start the build command", argv[0], missing=BuildError) from error


def _lines(process: subprocess.Popen[bytes], pipe: IO[bytes], deadline: float) -> Iterator[str]:
    """Give the lines of output until its end, or until the command has ended and nothing more comes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    line, chunk = "", b"-"
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while chunk:
            chunk = _next_chunk(process, pipe, selector, deadline)
            *whole, line = (line + decoder.decode(chunk, final=not chunk)).replace("\r\n", "\n").split("\n")
            yield from (text.removesuffix("\r")[:MAX_LINE_CHARS] for text in whole)
            # One character more than is shown, and a carriage return may wait for its line feed.
            line = line[: MAX_LINE_CHARS + 1] if len(line) > MAX_LINE_CHARS else line
    if line:
        yield line[:MAX_LINE_CHARS]


def _next_chunk(process: subprocess.Popen[bytes], pipe: IO[bytes], selector: selectors.BaseSelector, deadline: float) -> bytes:
    """Wait for output. Nothing means the end: also when only a process that the command left behind holds the pipe."""
    ended = False
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _TimeUpError
        if selector.select(min(left, _POLL)):
            return os.read(pipe.fileno(), _READ)
        if ended:
            return b""
        ended = process.poll() is not None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the command and all that it started: politely, then for good."""
    # A group that is gone already, or (on macOS) has only dead members, is what is wanted.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(what: str, shown: str, tail: deque[str], remedy: str, *, found: str | None = None) -> BuildError:
    details = tuple(harmless(_ANSI.sub("", line)) for line in tail)
    return BuildError(what, shown, found=found, remedy=remedy, details=details)


def _status(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"ended by {signal.Signals(-code).name if -code in set(signal.Signals) else f'signal {-code}'}"


def _remedy(code: int) -> str:
    if code == _COMMAND_NOT_FOUND:
        return "install the tool (for npm projects: npm ci), and check build.command and PATH"
    if code == -signal.SIGKILL:
        return "the system may have run out of memory: give the build more, or try again"
    return "mend the build; its last lines are above, all of them in the log. Variables that it needs go into build.env"


def _more_time(timeout: timedelta) -> str:
    return f"see its last lines above for where it hangs, or raise build.timeout ({span(timeout)})"
