"""GitHub Actions: output and summary files, and workflow commands on standard error.

**Source:** docs.github.com/actions/reference/workflows-and-actions/workflow-commands (formats, escapes, limits).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from otagate import _fs
from otagate._text import harmless
from otagate.ci.interface import Level
from otagate.ci.masking import secret_lines
from otagate.errors import OtagateError

MAX_ANNOTATIONS = 10
"""Of each level and step; GitHub drops the rest without a word."""
MAX_SUMMARY_BYTES = 1024 * 1024
"""Of a step; a larger file is not shown at all."""

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_CUT = "\n\n*The rest was cut: a summary may have 1 MiB.*\n"
_MAX_LINE = 2000


class GithubReporter:
    """Tells the runner of one step."""

    def __init__(self, output_file: Path | None, summary_file: Path | None, stream: IO[str]) -> None:
        self._output_file, self._summary_file, self._stream = output_file, summary_file, stream
        self._shown = dict.fromkeys(Level, 0)
        self._stopped_by: str | None = None
        self._is_cut = False

    def outputs(self, values: Mapping[str, str]) -> None:
        """See Reporter.outputs."""
        if self._output_file is not None:
            text = "".join(_assignment(name, value) for name, value in values.items())
            _append(self._output_file, text.encode(errors="backslashreplace"))

    def summary(self, markdown: str) -> None:
        """See Reporter.summary."""
        if self._summary_file is None or self._is_cut:
            return
        room = MAX_SUMMARY_BYTES - _size(self._summary_file) - len(_CUT.encode())
        text = (markdown.rstrip("\n") + "\n").encode(errors="replace")
        if len(text) > room:
            # Whole lines only: half a table row would spoil the page.
            text = text[: max(room, 0)].rpartition(b"\n")[0] + _CUT.encode()
            self._is_cut = True
        _append(self._summary_file, text)

    def annotate(self, level: Level, message: str, file: str | None = None, line: int | None = None) -> None:
        """See Reporter.annotate."""
        text = "\n".join(harmless(part, _MAX_LINE) for part in message.splitlines())
        self._shown[level] += 1
        if self._shown[level] > MAX_ANNOTATIONS:
            return  # the command line has printed the message; the host would drop it
        where = {"file": file, "line": str(line) if file and line else None, "title": "otagate"}
        fields = ",".join(f"{key}={_escape_property(value)}" for key, value in where.items() if value)
        self._command(f"::{level} {fields}::{_escape(text)}")

    def mask(self, secret: str) -> None:
        """See Reporter.mask."""
        for line in secret_lines(secret):
            # On a line of its own, whatever stands unfinished before it: a mask that is not understood shows the secret.
            self._command(f"\n::add-mask::{_escape(line)}")

    @contextmanager
    def fold(self, title: str) -> Iterator[None]:
        """See Reporter.fold."""
        self._command(f"::group::{_escape(harmless(title))}")
        # From here the runner takes commands from nobody who does not know this word.
        self._stopped_by = f"otagate-{secrets.token_hex(16)}"
        self._write(f"::stop-commands::{self._stopped_by}")
        try:
            yield
        finally:
            self._write(f"::{self._stopped_by}::")
            self._stopped_by = None
            self._write("::endgroup::")

    def _command(self, text: str) -> None:
        # A command inside a fold needs the runner's ear for a moment; a mask that is not heard would even show the secret.
        stopped_by = self._stopped_by
        if stopped_by is None:
            self._write(text)
        else:
            self._write(f"::{stopped_by}::\n{text}\n::stop-commands::{stopped_by}")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


def _assignment(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise OtagateError("this is not the name of an output", subject=harmless(name))
    # A word that nobody can guess, so that a value cannot end itself and begin another output.
    delimiter = f"ghadelim_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(harmless(text)).replace(":", "%3A").replace(",", "%2C")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise _fs.translate(error, "cannot look at the file that GitHub reads", path) from error


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise _fs.translate(error, "cannot write the file that GitHub reads", path) from error
