"""Logs of a server: one line an event, on stderr, with words and numbers that say nothing about a person.

Everything is a standard log record of the logger :data:`NAME`: its message is the event, one constant word, or a sentence for
operators; and of ``extra`` only the fields in :data:`FIELDS` are written. So an address, a device id, a query or a token cannot
get into a line by accident. Of exceptions the kind and the place are written, never the message, which may quote a client.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from otagate._clock import to_text
from otagate._text import harmless

NAME = "otagate.server"
_ALL = "otagate"
"""The logger above it: whatever else of otagate runs in a server writes the same lines."""
FIELDS = (
    "status",
    "route",
    "method",
    "duration_ms",
    "note",
    "reason",
    "count",
    "worker",
    "pid",
    "workers",
    "exit_code",
    "after_s",
    "app",
    "release",
    "channel",
    "url",
    "pin",
    "detail",
    "left_out",
)
"""What a line may hold besides time, level and event. ``detail`` is for operators' messages, never for what a client sent."""

_WORD = re.compile(r"[a-z][a-z0-9_]{1,63}")
_FRAMES = 6
_LONGEST = 500
_FOREIGN = {"uvicorn.error": "handler_failed", "asyncio": "loop_error"}
"""Loggers of libraries, and what their records are called here: their messages may quote a request."""


class LineFormatter(logging.Formatter):
    """Makes lines.

    Args:
        is_json: JSON lines instead of text.
    """

    def __init__(self, *, is_json: bool) -> None:
        super().__init__()
        self._is_json = is_json

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        values = self._values(record)
        if self._is_json:
            return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        named = (f"{name}={_shown(value)}" for name, value in values.items() if name not in {"time", "level", "event"})
        return " ".join([values["time"], f"{values['level']:<7}", values["event"], *named])

    def _values(self, record: logging.LogRecord) -> dict[str, Any]:
        instant = to_text(datetime.fromtimestamp(record.created, tz=UTC))
        values: dict[str, Any] = {"time": instant, "level": record.levelname.lower()}
        text = _FOREIGN.get(record.name) or record.getMessage()
        if _WORD.fullmatch(text):
            values["event"] = text
        else:
            values |= {"event": "message", "message": harmless(text, _LONGEST)}
        for name in FIELDS:
            value = record.__dict__.get(name)
            if value is not None:
                values[name] = harmless(value, _LONGEST) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[0] is not None:
            values |= {"error": record.exc_info[0].__name__, "at": _frames(record.exc_info[2])}
        return values


def _shown(value: Any) -> str:
    text = str(value)
    return text if text and not set(text) & set(' "=') else json.dumps(text, ensure_ascii=False)


def _frames(trace: TracebackType | None) -> str:
    """Give where it happened, without the values and messages that a traceback would quote."""
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in frames)


class Quota(logging.Filter):
    """Lets only so many lines a second through, and says how many it kept: a flood of bad requests must not fill a disk.

    Args:
        per_second: Lines.
        clock: Seconds that only grow.
    """

    def __init__(self, per_second: int = 50, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most = per_second
        self._clock = clock
        self._second = -1
        self._seen = 0
        self._kept = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen > self._most and record.levelno < logging.CRITICAL:
            self._kept += 1
            return False
        if self._kept:
            record.left_out, self._kept = self._kept, 0
        return True


def set_up(log_format: str, stream: TextIO | None = None) -> logging.Logger:
    """Make the server's logger write lines; give it.

    Args:
        log_format: ``text`` or ``json``.
        stream: Where to; None: stderr.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(LineFormatter(is_json=log_format == "json"))
    handler.addFilter(Quota())
    for name, level in ((_ALL, logging.INFO), ("uvicorn.error", logging.ERROR), ("asyncio", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
    return logging.getLogger(NAME)


def loop_failed(_loop: object, context: Mapping[str, Any]) -> None:
    """Log what an event loop could not give to anybody; an exception handler of asyncio."""
    error = context.get("exception")
    info = (type(error), error, error.__traceback__) if isinstance(error, BaseException) else None
    logging.getLogger("asyncio").error("loop_error", exc_info=info)
