"""What a row of progress counts for, and what a batch of observations says, in any order. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache

from otagate.telemetry.model import BUCKET_S, VERIFY_BOUNDS_S, Mark, Progress

DAY_S = 86_400
VERIFY_COLUMNS = tuple(f"verify_{at}" for at in range(len(VERIFY_BOUNDS_S) + 1))
PLAIN = (
    *("devices", "offered", "pending", "success", "network", "integrity", "boot", "refusal"),
    *("ran", "crashed", "errored", "adopted_24h"),
)
"""The columns of a counter that are fields of ``Counts``."""
COUNTED = (*PLAIN, *VERIFY_COLUMNS)
"""The columns of a counter: the fields of ``Counts``, with one column for each bin of the histogram."""

_BOUNDS_MS = tuple(bound * 1000 for bound in VERIFY_BOUNDS_S)


def bucket_of(second: int) -> int:
    """Give the start of the time bucket that a Unix second lies in."""
    return second // BUCKET_S * BUCKET_S


def contribution(progress: Progress | None, bucket: int) -> Mapping[str, int]:
    """Give what one row counts for: column to 1; nothing for a row that is not there yet.

    A row whose release was offered is adopted when it had success within 24 hours of the *start* of its bucket: so a bucket's
    number is final when the bucket is 24 hours old, and a device is short of its day by less than a bucket.

    Args:
        progress: The row, or None.
        bucket: Start of the bucket that it was first seen in, Unix seconds.
    """
    if progress is None:
        return _NOTHING
    took_ms, success_s = progress.verify_ms, progress.success_s
    bin_ = -1 if took_ms is None else bisect_left(_BOUNDS_MS, took_ms)
    is_in_time = success_s is not None and success_s < bucket + DAY_S
    return _contribution(int(progress.marks), bin_, is_in_time)


def difference(new: Mapping[str, int], old: Mapping[str, int]) -> dict[str, int]:
    """Give ``new`` minus ``old``, without zeros."""
    changed = {name: count for name, count in new.items() if name not in old}
    changed.update((name, -count) for name, count in old.items() if name not in new)
    return changed


_NOTHING: Mapping[str, int] = {}


@lru_cache(maxsize=65_536)
def _contribution(marks: int, verify_bin: int, is_in_time: bool) -> Mapping[str, int]:
    progress = Progress(Mark(marks))
    counted = {"devices": 1, progress.outcome.value: 1}
    is_offered, has_run = Mark.OFFERED in progress.marks, progress.has_run
    for name, holds in (
        ("offered", is_offered),
        ("ran", has_run),
        # A start that does not come to its end is a crash too, told by another event.
        ("crashed", bool(progress.marks & (Mark.CRASHED | Mark.BOOT))),
        ("errored", has_run and Mark.ERRORED in progress.marks),
        ("adopted_24h", is_offered and is_in_time and progress.outcome.value == "success"),
    ):
        if holds:
            counted[name] = 1
    if verify_bin >= 0:
        counted[VERIFY_COLUMNS[verify_bin]] = 1
    return counted
