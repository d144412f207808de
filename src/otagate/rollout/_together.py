"""Reading many entries of a ledger, several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otagate.store.interface import Document

AHEAD = 16
"""Entries that are read at the same time: a store far away answers each in some 30 ms, and a ledger has thousands."""


def together(read: Callable[[int], Document | None], seqs: range) -> Iterator[tuple[int, Document | None]]:
    """Give what stands at these numbers, in order; who stops early has had up to :data:`AHEAD` of them read."""
    if not seqs:
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only a long ledger pays for it

    with ThreadPoolExecutor(AHEAD) as pool:
        for some in (seqs[at : at + AHEAD] for at in range(0, len(seqs), AHEAD)):
            yield from zip(some, pool.map(read, some), strict=True)
