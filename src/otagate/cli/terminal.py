"""The two streams: results on stdout in the wanted format, everything else on stderr."""

from __future__ import annotations

import codecs
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

from otagate._fs import translate
from otagate._text import harmless
from otagate.cli.output import Result
from otagate.cli.render import human
from otagate.errors import OtagateError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_MAX_LINE = 4000
_PLAIN = dict(zip("▁▂▃▄▅▆▇█·─", "_.:-=+*#.-", strict=True))


class Terminal:
    """Prints for people and for machines; knows whether anybody is watching.

    On a terminal tables fit its width; elsewhere each row is one line.
    Colour and progress bars need a terminal, ``NO_COLOR`` unset (https://no-color.org) and ``TERM`` other than ``dumb``.
    """

    def __init__(self, environ: Mapping[str, str], stdout: IO[str], stderr: IO[str]) -> None:
        self._out, self._err = stdout, stderr
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self._is_watched = stdout.isatty()
        self._colour_out = self._is_watched and not plain
        self._colour_err = stderr.isatty() and not plain
        self._format, self._quiet = "text", False
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._drawing = Lock()

    def configure(self, output_format: str, *, quiet: bool) -> None:
        """Take over ``--format`` and ``--quiet``."""
        self._format, self._quiet = output_format, quiet

    def write(self, text: str) -> None:
        """Write to stdout as it is.

        Raises:
            UnavailableError: It does not take it: its disk is full.
        """
        with self._printing():
            self._out.write(text)

    def result(self, result: Result) -> None:
        """Print a command's result.

        Raises:
            UnavailableError: Standard output does not take it: its disk is full.
        """
        self._close_progress()
        with self._printing():
            self._show(result)

    def _show(self, result: Result) -> None:
        if self._format == "json":
            self._out.write(self._json({"schema": result.schema, **result.data}))
        elif result.raw is not None:
            self._out.write(result.raw)
        elif self._format == "markdown":
            from otagate.cli.render import markdown  # noqa: PLC0415 - only this format pays for it

            self._out.write(markdown.draw(result.view))
        else:
            human.draw(result.view, self._out, colour=self._colour_out, fits=self._is_watched)

    def failure(self, error: OtagateError) -> None:
        """Print a failure: one message on stderr, and an object on stdout for whoever reads JSON."""
        self._close_progress()
        self._say("error: ", str(error), "1;31")
        if self._format == "json":
            fields = ("what", "subject", "expected", "found", "remedy")
            data = {name: getattr(error, name) for name in fields if getattr(error, name)}
            if error.details:
                data["details"] = list(error.details)
            # When that does not fit either, stderr has said it and the exit code says it.
            with suppress(OtagateError):
                self.write(self._json({"schema": "otagate/error/v1", "exit_code": int(error.exit_code), **data}))

    def _json(self, data: Mapping[str, object]) -> str:
        # What a stream cannot show is escaped as JSON does, not as Python does.
        is_all = (getattr(self._out, "encoding", None) or "utf-8").lower().startswith("utf")
        return json.dumps(data, sort_keys=True, indent=2, ensure_ascii=not is_all) + "\n"

    def bug(self, error: Exception) -> None:
        """Print an error that no user can have caused: what, where in our code, and where to report it."""
        self._close_progress()
        frames = [f"{f.filename.rpartition('otagate/')[2]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        where = " < ".join(reversed(frames[-4:]))
        text = f"this is a bug in otagate: {type(error).__name__} at {where}\n  try: report it with this line and your command"
        self._say("error: ", text, "1;31")

    def note(self, text: str) -> None:
        """Say how things go."""
        if not self._quiet:
            self._say("", text, "2")

    def warn(self, text: str) -> None:
        """Say what is unwise; also with ``--quiet``."""
        self._say("warning: ", text, "33")

    def stream(self, line: str) -> None:
        """Pass on one line of a child's output, made harmless."""
        if not self._quiet:
            self._say("  | ", harmless(line.rstrip("\r\n"), _MAX_LINE), "2")

    def progress(self, label: str, done: int, total: int) -> None:
        """Draw a bar on a terminal; says nothing elsewhere."""
        if self._quiet or not self._colour_err:
            return
        with self._drawing:  # parts of an upload are sent by several threads
            if self._progress is None:
                self._progress = self._open_progress()
            if label not in self._tasks:
                self._tasks[label] = self._progress.add_task(label, total=total)
            self._progress.update(self._tasks[label], completed=done, total=total)
            if done >= total:
                self._close_progress()

    def _open_progress(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - only a terminal pays for it
        from rich.progress import Progress  # noqa: PLC0415 - likewise

        progress = Progress(console=Console(file=self._err, force_terminal=True), transient=True)
        progress.start()
        return progress

    def _close_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}

    def _say(self, prefix: str, text: str, code: str) -> None:
        line = f"{prefix}{text}"
        # A log that cannot be written, or that nobody reads any more, stops no release.
        try:
            self._err.write(f"\x1b[{code}m{line}\x1b[0m\n" if self._colour_err else f"{line}\n")
            self._err.flush()
        except OSError:
            _let_go(self._err)

    @contextmanager
    def _printing(self) -> Iterator[None]:
        """Write to stdout to the end, so that what does not fit is noticed now and not when the process has ended."""
        try:
            yield
            self._out.flush()
        except BrokenPipeError:
            # Whoever read went away, as `head` does. What was done is done, and the exit code still tells how it ended.
            _let_go(self._out)
        except OSError as error:
            _let_go(self._out)
            raise translate(error, "the result cannot be written", "standard output") from error


def _let_go(stream: IO[str]) -> None:
    """Lead a stream nowhere: Python writes what is left in its buffer once more when the process ends."""
    with suppress(OSError):  # a stream that is no file has no such buffer
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def standard_streams() -> tuple[IO[str], IO[str]]:
    """Give the process's stdout and stderr, also when it was started without them.

    A closed stream's number must not go to the next file that is opened: prints would end up in the store.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    nowhere = Path(os.devnull)
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that is not UTF-8 still gets its answer, and a chart.
        codecs.register_error("otagate.plain", _plainer)
        sys.stdout.reconfigure(errors="otagate.plain")
    stdout = nowhere.open("w", encoding="utf-8") if sys.stdout is None else sys.stdout
    return stdout, nowhere.open("w", encoding="utf-8") if sys.stderr is None else sys.stderr


def _plainer(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write bars and dots as ASCII letters, one for one so that columns stay columns, and all else as stderr does."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in _PLAIN:
        return _PLAIN[error.object[error.start]], error.start + 1
    return codecs.backslashreplace_errors(error)
