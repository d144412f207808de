"""Telemetry with devices in it, in an SQLite file: what commands and gates count from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from otagate.telemetry.model import DeviceFacts, Mark, Observation
from otagate.telemetry.sql import open_telemetry

APP = "com.example.shop"
WHOLE = Mark.OFFERED | Mark.STARTED | Mark.VERIFIED | Mark.SET | Mark.READY


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def seen(
    number: int,
    release: str,
    at: datetime,
    marks: Mark = WHOLE,
    *,
    channel: str = "live",
    platform: str = "ios",
    plugin: str = "8.1.0",
    is_test: bool = False,
    verify_s: int | None = 7,
    running: str | None = None,
    app: str = APP,
) -> Observation:
    """Give what device ``number`` told of a release at an instant, all at once; it runs what it got ready."""
    device = DeviceFacts(app, key(number), platform, plugin, channel, is_test)
    runs = running or (release if Mark.READY in marks else "builtin")
    started = 0 if Mark.VERIFIED in marks and verify_s is not None else None
    verified = None if started is None or verify_s is None else 1000 * verify_s
    return Observation(device, release, marks, at, 10_000, started, verified, runs, release)


def record(file: Path, *observations: Observation) -> Path:
    """Record them in a database, which is made when it is not there; give its file."""
    telemetry = open_telemetry(f"sqlite:///{file}", {})
    telemetry.record(observations)
    telemetry.close()
    return file
