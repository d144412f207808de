"""Telling the CI host of a command's result or failure, in one call each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import IO, Any

from otagate.ci.hosts import HOSTS
from otagate.ci.interface import Level, Reporter
from otagate.ci.reporters import open_reporter
from otagate.errors import OtagateError
from otagate.model import Context

MAX_RESULT_CHARS = 100_000
"""Of the JSON result as an output; GitHub allows 1 MB for all outputs of a job together."""

_PLACE = re.compile(r"(?P<file>[^:\n]+\.[A-Za-z]+):(?P<line>[0-9]{1,6})(?::[0-9]+)?(?=[:\s]|$)")


def reporter_here(environ: Mapping[str, str], *, stream: IO[str] | None = None) -> Reporter:
    """Give the reporter of the host whose variables these are, without reading events or asking git."""
    provider = next((host.name for host in HOSTS if host.matches(environ)), "none")
    return open_reporter(Context(provider=provider), environ, stream=stream)


def tell_result(reporter: Reporter, outputs: Mapping[str, str], data: Mapping[str, Any], markdown: str) -> None:
    """Hand over flat outputs, the whole result as the output ``result`` (one line of JSON), and a summary.

    Raises:
        AccessError: The host's files cannot be written.
        UnavailableError: Likewise, for want of room.
    """
    result = json.dumps(data, sort_keys=True, separators=(",", ":"))
    reporter.outputs({**outputs, "result": result if len(result) <= MAX_RESULT_CHARS else "{}"})
    reporter.summary(markdown)


def tell_failure(reporter: Reporter, error: OtagateError) -> None:
    """Show a failure as annotations: each of its problems at its place, or the failure as a whole."""
    lines = error.details or (error.subject or "",)
    places = [_PLACE.match(line) for line in lines]
    if not any(places):
        reporter.annotate(Level.ERROR, str(error))
        return
    for line, place in zip(lines, places, strict=True):
        message = f"{error.what}: {line}" if error.details else str(error)
        reporter.annotate(Level.ERROR, message, place["file"] if place else None, int(place["line"]) if place else None)
