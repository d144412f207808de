"""What the operator may set about the HTTP side."""

from __future__ import annotations

from dataclasses import dataclass, field

from otagate.server.http.rates import Limits


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """See the module.

    Attributes:
        limits: Rates; see :mod:`otagate.server.http.rates`.
        downloads: Downloads of one worker at once; more are told 503. Each holds an open file and at most about a megabyte,
            and counts as a request in flight, so stay well below RunOptions.in_flight.
        stale_s: ``/healthz`` says 503 when the channels were last read so many seconds ago.
    """

    limits: Limits = field(default_factory=Limits)
    downloads: int = 128
    stale_s: float = 3600.0
