"""Counts from a JSON file that something else writes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _shape
from otagate.policy.model.sources import FileSource


class FileMetrics:
    """See MetricSource. A file that is not there is no data; it is never waited for."""

    def __init__(self, spec: FileSource, root: Path) -> None:
        """Read files named by ``spec.path``, relative to ``root``."""
        self._spec = spec
        self._root = root

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        path = _fill.path_below(self._root, self._spec.path, query)
        subject = f"file {harmless(_fill.plain(self._spec.path, query))}"
        try:
            data = _content(path, subject)
        except FileNotFoundError:
            return Measurement(None, None, None, f"{subject} (not there)")
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            raise SourceError(
                "a metrics file cannot be read",
                subject=subject,
                found=getattr(error, "strerror", None) or harmless(str(error)),
                remedy="check the path and its permissions",
            ) from error
        return _shape.measurement(data, query, subject=subject, told_over=_fill.asks_over(self._spec.path))


def _content(path: Path, subject: str) -> bytes:
    # Without O_NONBLOCK, opening a named pipe would wait for its writer for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise SourceError("a metrics file is no file", subject=subject, expected="a regular file", remedy="check the path")
        return stream.read(_shape.MAX_BYTES + 1)
