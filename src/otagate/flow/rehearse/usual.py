"""What is supposed of a fleet and of any release where nobody says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Sequence

CRASH_RATE = 0.003
"""Share of the devices on which any release crashes once."""
_EARLY_SHARE = 0.2
"""Of the devices follow each channel before the last: enough for usual gates to judge."""
_LEAST_LAST = 0.4


def shares_of(channels: Sequence[str]) -> dict[str, float]:
    """Give the share of the devices that follow each channel of a track."""
    early = min(_EARLY_SHARE, (1 - _LEAST_LAST) / max(1, len(channels) - 1))
    shares = dict.fromkeys(channels, early)
    shares[channels[-1]] = 1 - early * (len(channels) - 1)
    return shares
