"""Failed attempts, by address: how many are too many, and a sum for the audit so that nobody can fill it from outside."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

MOST = 10
"""Failed attempts that an address has in a window: a person mistypes a token a few times, a machine asks for ever."""
WINDOW = timedelta(minutes=1)
_MOST_ADDRESSES = 10_000
_V6_PREFIX = 64
_MAX_CHARS = 64


@dataclass(frozen=True, slots=True)
class FailureSum:
    """Failed attempts since ``since``: how many, and from how many addresses."""

    count: int
    addresses: int
    since: datetime


@dataclass(slots=True)
class _Window:
    start: datetime
    count: int


class Failures:
    """Counts in memory; each process of a server has its own. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._count = 0
        self._addresses: set[str] = set()
        self._since: datetime | None = None
        self._told: datetime | None = None

    def wait_s(self, peer: str, now: datetime) -> int:
        """Give how many seconds an address has to wait; 0: not at all."""
        with self._lock:
            window = self._windows.get(group(peer))
            if window is None or window.count < MOST or now - window.start >= WINDOW:
                return 0
            return max(1, ceil((window.start + WINDOW - now).total_seconds()))

    def add(self, peer: str, now: datetime) -> None:
        """Count one."""
        address = group(peer)
        with self._lock:
            window = self._windows.get(address)
            if window is None or now - window.start >= WINDOW:
                self._windows[address] = _Window(now, 1)
                self._windows.move_to_end(address)
            else:
                window.count += 1
            while len(self._windows) > _MOST_ADDRESSES:
                self._windows.popitem(last=False)
            self._count += 1
            self._since = self._since or now
            if len(self._addresses) < _MOST_ADDRESSES:
                self._addresses.add(address)

    def take(self, now: datetime, *, at_once: bool = False) -> FailureSum | None:
        """Give what was not told yet, at most once a window, and begin anew; None: nothing is to be told now."""
        with self._lock:
            is_early = self._told is not None and now - self._told < WINDOW
            if self._since is None or (is_early and not at_once):
                return None
            found = FailureSum(self._count, len(self._addresses), self._since)
            self._count, self._since, self._told = 0, None, now
            self._addresses.clear()
            return found


def group(peer: str) -> str:
    """Give what counts as one address: an IPv4 address, or the /64 of an IPv6 one, which one customer has whole."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:_MAX_CHARS]
    if address.version == 4:  # noqa: PLR2004 - the protocol's own number
        return str(address)
    mapped = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((address, _V6_PREFIX), strict=False))
