"""Observations in short words, for tests of telemetry."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from otagate.telemetry.model import DeviceFacts, Mark, Observation

APP = "com.example.app"
T0 = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def key(number: int) -> bytes:
    """Give the key of a device."""
    return hashlib.sha256(str(number).encode()).digest()[:16]


def facts(number: int = 1, **changed: Any) -> DeviceFacts:
    """Give what is known of a device."""
    given: dict[str, Any] = {
        "app": APP,
        "key": key(number),
        "platform": "ios",
        "plugin": "8.5.0",
        "channel": "stable",
        "is_test": False,
        "native": "1.0.0",
    }
    return DeviceFacts(**{**given, **changed})


def told(
    marks: Mark,
    number: int = 1,
    *,
    release: str = "1.1.0",
    after: float = 0,
    weight_bps: int = 500,
    started_ms: int | None = None,
    verified_ms: int | None = None,
    running: str | None = None,
    target: str | None = None,
    **about: Any,
) -> Observation:
    """Give an observation ``after`` so many seconds from ``T0``; ``about`` goes to the facts."""
    at = T0 + timedelta(seconds=after)
    return Observation(
        facts(number, **about),
        release,
        marks,
        at,
        weight_bps,
        started_ms=started_ms,
        verified_ms=verified_ms,
        running=running,
        target=target,
    )
