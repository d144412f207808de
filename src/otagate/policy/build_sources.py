"""Where counts come from, as a checked document says; see otagate.policy.build."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otagate.policy import defaults, values
from otagate.policy.model import CommandSource, FileSource, HttpSource, Source, TelemetrySource, TelemetrySpec

Readers = dict[str, Callable[[Any], Any]]
"""Key to what reads its value."""

_HTTP: Readers = {
    "url": str,
    "bad": str,
    "total": str,
    "newest_at": str,
    "method": str,
    "headers": lambda given: tuple(given.items()),
    "body": str,
    "timeout": values.duration,
}


def read(given: dict[str, Any], readers: Readers) -> dict[str, Any]:
    """Give keyword arguments for what is there; the value types hold the defaults of the rest."""
    return {key: reader(given[key]) for key, reader in readers.items() if key in given}


def telemetry_spec(given: dict[str, Any], folder: Path) -> TelemetrySpec:
    """Make the address of telemetry; its files are relative to the policy's folder, from wherever it is read."""
    if "server" in given:
        return TelemetrySpec(given["server"].rstrip("/"), _reference(given.get("token", defaults.DEFAULT_SERVER_TOKEN), folder))
    database: str = given["database"]
    if database.startswith("sqlite:///") and not database.startswith("sqlite:////"):
        database = f"sqlite:///{_below(folder, database.removeprefix('sqlite:///'))}"
    return TelemetrySpec(database=_reference(database, folder))


def _reference(text: str, folder: Path) -> str:
    return f"file:{_below(folder, text.removeprefix('file:'))}" if text.startswith("file:") else text


def _below(folder: Path, path: str) -> str:
    return os.path.abspath(folder / path)  # noqa: PTH100 - resolve() fails on links in a circle


def source_spec(given: dict[str, Any], telemetry: TelemetrySpec | None = None) -> Source:
    """Make a source; ``telemetry`` is what one that counts there reads."""
    if "telemetry" in given and telemetry is not None:
        return TelemetrySource(telemetry, **given["telemetry"])
    if "file" in given:
        return FileSource(given["file"])
    if "command" in given:
        return CommandSource(tuple(given["command"]), **read(given, {"timeout": values.duration}))
    return HttpSource(**read(given["http"], _HTTP))
