"""What a server knows of one release on one device, and the sums that it must have of it. Pure.

Independent of ``otagate.telemetry``: the names and their meaning are those of its ``Counts``, the code is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from otagate.fleet.reading import NOTHING, STARTS, VERIFIED, Told, outcome

BUCKET_S = 300
DAY_S = 86_400
VERIFY_BOUNDS_S = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
_HAS_RUN = Told.SET | Told.READY | Told.RAN | Told.BOOT | Told.CRASHED
COUNTED = (
    *("devices", "offered", "pending", "success", "network", "integrity", "boot", "refusal"),
    *("ran", "crashed", "errored", "adopted_24h"),
)


@dataclass(slots=True)
class Row:
    """What a server knows of one release on one device.

    Attributes:
        bucket: Start of the five minutes in which it first heard of them together, Unix seconds.
        channel: The channel that the device followed then, as far as the device knows.
        marks: What it was told.
        unsure: What it may have been told beside that: an answer was lost on a real network.
        started_ms: When the last download began, by the device's clock.
        verified_ms: When it was last checked, likewise.
        success_s: When the server first heard that it works.
    """

    bucket: int
    channel: str
    marks: Told = NOTHING
    unsure: Told = NOTHING
    started_ms: int | None = None
    verified_ms: int | None = None
    success_s: int | None = None

    def time(self, action: str, stamp: object) -> None:
        """Take the device's time of an event."""
        if not isinstance(stamp, int):
            return
        if action in STARTS:
            self.started_ms = stamp if self.started_ms is None else max(self.started_ms, stamp)
        elif action == VERIFIED:
            self.verified_ms = stamp if self.verified_ms is None else max(self.verified_ms, stamp)


def bucket_of(second: float) -> int:
    """Give the start of the five minutes that an instant lies in."""
    return int(second) // BUCKET_S * BUCKET_S


def summed(rows: Iterable[Row]) -> dict[str, Any]:
    """Count devices, one for each row."""
    total: dict[str, Any] = dict.fromkeys(COUNTED, 0)
    verify = [0] * (len(VERIFY_BOUNDS_S) + 1)
    for row in rows:
        marks = row.marks
        if not marks:  # only an answer that was lost: perhaps the server has no such row
            continue
        result, has_run = outcome(marks), bool(marks & _HAS_RUN)
        total["devices"] += 1
        total[result] += 1
        total["offered"] += bool(marks & Told.OFFERED)
        total["ran"] += has_run
        total["crashed"] += bool(marks & (Told.CRASHED | Told.BOOT))
        total["errored"] += has_run and bool(marks & Told.ERRORED)
        is_early = row.success_s is not None and row.success_s < row.bucket + DAY_S
        total["adopted_24h"] += bool(marks & Told.OFFERED) and result == "success" and is_early
        if row.started_ms is not None and row.verified_ms is not None and row.verified_ms >= row.started_ms:
            verify[bisect_left(VERIFY_BOUNDS_S, (row.verified_ms - row.started_ms) / 1000)] += 1
    total["verify"] = tuple(verify)
    return total
