"""Recording many requests' observations in one transaction, without letting one bad request fail the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otagate.errors import OtagateError, UnavailableError
from otagate.telemetry.interface import RowsRefusedError
from otagate.telemetry.model import Observation

MAX_TRIES = 64
"""Transactions that one batch may cost when the database refuses rows: finds three bad requests among a thousand."""
_Record = Callable[[Sequence[Observation]], None]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of a batch.

    Attributes:
        failures: For each request what it failed with, or None: it is durable.
        is_away: The database itself failed: others would fare no better now.
    """

    failures: list[OtagateError | None]
    is_away: bool


def record_all(record: _Record, requests: Sequence[Sequence[Observation]]) -> Salvaged:
    """Record them all together; where the database refuses the rows themselves, in halves.

    Args:
        record: Records observations in one transaction; raises errors of ours.
        requests: What has to be recorded together, or not at all.
    """
    failures: list[OtagateError | None] = [None] * len(requests)
    due, tries, is_away = [(0, len(requests))], 0, False
    while due:
        start, end = due.pop()
        tries += 1
        failure = _failure(record, [one for request in requests[start:end] for one in request])
        is_about_rows = isinstance(failure, RowsRefusedError)
        if is_about_rows and end - start > 1 and tries < MAX_TRIES:
            middle = (start + end) // 2
            due += [(middle, end), (start, middle)]
        elif failure is not None:
            failures[start:end] = [_unavailable(failure)] * (end - start)
            is_away |= not is_about_rows
    return Salvaged(failures, is_away)


def _failure(record: _Record, observations: Sequence[Observation]) -> OtagateError | None:
    try:
        record(observations)
    except OtagateError as error:
        return error
    return None


def _unavailable(failure: OtagateError) -> OtagateError:
    """Say that it is not recorded, as the port of the intake promises."""
    if isinstance(failure, UnavailableError):
        return failure
    return UnavailableError(failure.what, failure.subject, failure.expected, failure.found, failure.remedy, failure.details)
