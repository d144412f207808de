"""What the operator may set about the HTTP side."""

from __future__ import annotations

from dataclasses import dataclass, field

from otagate.server.http.rates import Limits


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """See the module.

    Attributes:
        limits: Rates; see :mod:`otagate.server.http.rates`.
        downloads: Downloads of one worker at once; more are told 503. Each holds an open file and at most about a megabyte.
        reports: Requests with events that wait at once until these are durable; more are told 503.
        blocking: Requests that wait at once for anything else of the database; more are told 503.
        stale_s: ``/healthz`` says 503 when the channels were last read so many seconds ago.
    """

    limits: Limits = field(default_factory=Limits)
    downloads: int = 128
    reports: int = 256
    blocking: int = 64
    stale_s: float = 3600.0

    @classmethod
    def within(cls, in_flight: int, *, limits: Limits, stale_s: float) -> HttpOptions:
        """Share out the requests that one worker answers at once; an eighth of them is left for what never waits.

        So update checks are answered while the database hangs, and while all downloads that there may be are slow.
        """
        shares = {"downloads": in_flight // 4, "reports": in_flight // 2, "blocking": in_flight // 8}
        return cls(limits, **{name: max(1, share) for name, share in shares.items()}, stale_s=stale_s)
