"""Could these answers have come from one register that does one thing at a time? (Wing and Gong's search, with Lowe's memory.)

A register holds a token or nothing. Calls overlap; each must have taken effect at one instant between its beginning and its end, so
that all answers make sense in that order. What was never answered (its caller was killed) may have taken effect at any later
instant, or not at all.

**Source:** J. M. Wing, C. Gong, "Testing and Verifying Concurrent Objects", Journal of Parallel and Distributed Computing 17
(1993); G. Lowe, "Testing for Linearizability", Concurrency and Computation 29 (2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

_CANNOT = "cannot"


@dataclass(frozen=True)
class Call:
    """One call on one key.

    Attributes:
        method: ``read``, ``create``, ``replace`` or ``delete``.
        began: When it was asked for, on any clock that all callers share.
        ended: When the answer came; infinite when none came.
        expects: The token that a replace says stands there.
        token: What a read found (None: nothing), or what a create or replace writes.
        is_refused: Whether the answer was a conflict.
    """

    who: str
    key: str
    method: str
    began: float
    ended: float = inf
    expects: str | None = None
    token: str | None = None
    is_refused: bool = False

    @property
    def is_pending(self) -> bool:
        return self.ended == inf

    @property
    def only_looks(self) -> bool:
        """Whether it changes nothing, whatever stands there."""
        return self.method == "read" or self.is_refused

    def effect(self, there: str | None) -> str | None:
        """Give what stands there afterwards, or ``"cannot"`` when this call cannot have been answered so."""
        fits = there is None if self.method == "create" else there == self.expects
        match self.method:
            case "read":
                return there if there == self.token else _CANNOT
            case "delete":
                return None
            case "create" | "replace" if self.is_refused:
                return _CANNOT if fits else there
            case _:
                return self.token if fits else _CANNOT


def is_linearizable(calls: Sequence[Call], begin: str | None = None) -> bool:
    """Tell whether some order explains all answers. ``calls`` are all on one key; ``begin``: what stood there before them."""
    # A read that was never answered says nothing and does nothing.
    order = sorted((call for call in calls if not (call.is_pending and call.method == "read")), key=lambda call: call.began)
    ahead, known = [(frozenset(range(len(order))), begin)], set()
    while ahead:
        left, there = _take_what_only_looks(order, *ahead.pop())
        if all(order[index].is_pending for index in left):
            return True
        if (left, there) in known:
            continue
        known.add((left, there))
        for index in _first(order, left):
            after = order[index].effect(there)
            if after != _CANNOT:
                ahead.append((left - {index}, after))
    return False


def _take_what_only_looks(order: Sequence[Call], left: frozenset[int], there: str | None) -> tuple[frozenset[int], str | None]:
    """Take every call that may be next and changes nothing: to take it now never forbids what comes later."""
    while True:
        idle = {at for at in _first(order, left) if order[at].only_looks and order[at].effect(there) == there}
        if not idle:
            return left, there
        left -= idle


def _first(order: Sequence[Call], left: frozenset[int]) -> Iterator[int]:
    """Give the calls that may have taken effect before all others: none of the others had ended when they began."""
    end = min((order[index].ended for index in left), default=inf)
    return (index for index in left if order[index].began <= end)


def unexplained(calls: Iterable[Call], begin: dict[str, str]) -> list[str]:
    """Give the keys whose history no order explains."""
    by_key: dict[str, list[Call]] = {}
    for call in calls:
        by_key.setdefault(call.key, []).append(call)
    return sorted(key for key, there in by_key.items() if not is_linearizable(there, begin.get(key)))
