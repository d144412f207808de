"""Recording many requests' observations in one transaction, without letting one bad request fail the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from otagate.errors import OtagateError, UnavailableError
from otagate.telemetry.interface import RowsRefusedError
from otagate.telemetry.model import Observation

MAX_TRIES = 64
"""Transactions that one batch may cost when the database refuses rows: finds three bad requests among a thousand."""
_Record = Callable[[Sequence[Observation]], None]


def record_all(record: _Record, requests: Sequence[Sequence[Observation]]) -> list[OtagateError | None]:
    """Record them all together; where the database refuses the rows themselves, in halves.

    Args:
        record: Records observations in one transaction; raises errors of ours.
        requests: What has to be recorded together, or not at all.

    Returns:
        For each request what it failed with, or None: it is durable.
    """
    outcomes: list[OtagateError | None] = [None] * len(requests)
    due, tries = [(0, len(requests))], 0
    while due:
        start, end = due.pop()
        tries += 1
        failure = _failure(record, [one for request in requests[start:end] for one in request])
        if isinstance(failure, RowsRefusedError) and end - start > 1 and tries < MAX_TRIES:
            middle = (start + end) // 2
            due += [(middle, end), (start, middle)]
        elif failure is not None:
            outcomes[start:end] = [_unavailable(failure)] * (end - start)
    return outcomes


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
