"""What an intake did, for the counters of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IntakeStats:
    """What an intake did since it began, in observations where nothing else is said.

    Attributes:
        depth: Waiting now.
        taken: Taken into the queue.
        flushed: Durable.
        failed: Taken, and refused by the database.
        refused: Not taken, and the client was told so.
        dropped: Not taken, and nobody was told: they were for later.
        known: Not taken because the same was told last.
        flushes: Transactions tried.
        flush_s: Seconds spent in them, all together.
        last_flush_s: Seconds spent in the last.
    """

    depth: int = 0
    taken: int = 0
    flushed: int = 0
    failed: int = 0
    refused: int = 0
    dropped: int = 0
    known: int = 0
    flushes: int = 0
    flush_s: float = 0.0
    last_flush_s: float = 0.0
