"""Token buckets: how often an address, or an app's devices together, may ask.

A bucket is one number, the instant until which what was taken is spent, so that a check costs about a microsecond. Buckets
are kept in two generations that change places: one that was not touched for a whole generation is full again and can be
forgotten without loss. So memory is bounded, and nobody gets a fresh bucket by pushing the own one out with many addresses:
when there is no room, new-comers share a few buckets until there is.

Devices are never told apart by their device id: they make it up. Limits are those of one worker process.
**Source:** generic cell rate algorithm, ITU-T I.371, annex A; reference/security.md §2.2 (CVE-2026-56324) and §4.3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address

from otagate._text import harmless
from otagate.errors import UsageError

CAPACITY = 100_000
"""Buckets of one route class at most; about 100 bytes each."""
_SHARED = 256
_MIN_GENERATION_S = 1.0
_ADDRESSES = 8192
_RATE = re.compile(r"(?P<per_s>\d{1,7}(?:\.\d{1,3})?)(?::(?P<burst>\d{1,7}))?", re.ASCII)
_BURST_SECONDS = 4


class RouteClass(StrEnum):
    """What is limited by itself, so that a flood of one kind leaves the others alone."""

    UPDATES = "updates"
    STATS = "stats"
    CHANNEL_SELF = "channel_self"
    DOWNLOADS = "downloads"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and so many at once after a rest.

    Attributes:
        per_s: Requests a second; 0: no limit.
        burst: Requests at once; at least 1.
    """

    per_s: float
    burst: int = 1

    def __post_init__(self) -> None:
        if self.per_s < 0 or not math.isfinite(self.per_s) or self.burst < 1:
            raise UsageError("this is not a rate", expected=_FORM, found=f"{self.per_s}:{self.burst}")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read ``50`` (four seconds' worth at once), ``50:200``, or ``0`` for no limit.

        Raises:
            UsageError: It is something else.
        """
        match = _RATE.fullmatch(text)
        if match is None:
            raise UsageError("this is not a rate", expected=_FORM, found=repr(harmless(text, 40)))
        per_s = float(match["per_s"])
        burst = int(match["burst"]) if match["burst"] else math.ceil(per_s * _BURST_SECONDS)
        return cls(per_s, max(1, burst))

    def times(self, factor: float) -> Rate:
        """Give a rate that is so many times as high."""
        return Rate(self.per_s * factor, max(1, math.ceil(self.burst * factor)))


_FORM = "requests a second, or PER_SECOND:BURST, such as 50:200; 0 for no limit"
NO_LIMIT = Rate(0)


def _by_address(updates: Rate) -> dict[RouteClass, Rate]:
    return {
        RouteClass.UPDATES: updates,
        # While it installs an update, a device flushes its events about once a second.
        RouteClass.STATS: updates.times(2),
        # Whoever was told of an update fetches it: as often as it was told. Downloads at once are bounded apart from that.
        RouteClass.DOWNLOADS: updates,
        RouteClass.CHANNEL_SELF: updates.times(0.4),
        RouteClass.ADMIN: Rate(10, 50),
    }


ADDRESS_RATE = Rate(50, 200)
"""Update checks of one address. Carriers put up to some thousand phones behind one IPv4 address; an app that checks every ten
minutes then asks it 8 times a second, so that a push message which opens the app everywhere still fits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """All rates.

    Attributes:
        address: By client address; of IPv6 by /64, which is what one customer gets.
        app: By app, all addresses together, each class by itself. Off unless it is set: whoever knows an app's id could use
            it up and so keep the app's phones from their updates.
    """

    address: dict[RouteClass, Rate] = field(default_factory=lambda: _by_address(ADDRESS_RATE))
    app: Rate = NO_LIMIT

    @classmethod
    def of(cls, address: Rate = ADDRESS_RATE, app: Rate = NO_LIMIT) -> Limits:
        """Derive all rates from that of update checks: twice it for events, 0.4 of it for ``/channel_self``; operators' own."""
        return cls(_by_address(address), app)


class Buckets:
    """Buckets of one rate, by key.

    Args:
        rate: Of each.
        capacity: How many are kept at most.
    """

    def __init__(self, rate: Rate, capacity: int = CAPACITY) -> None:
        self._interval = 1 / rate.per_s if rate.per_s else 0.0
        self._tolerance = (rate.burst - 1) * self._interval
        self._generation_s = max(_MIN_GENERATION_S, rate.burst * self._interval)
        self._room = max(1, (capacity - 2 * _SHARED) // 2)
        self._new: dict[Hashable, float] = {}
        self._old: dict[Hashable, float] = {}
        self._turn_at = 0.0

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def take(self, key: Hashable, now: float) -> float:
        """Take one token.

        Args:
            key: Whose; must not be an int.
            now: Seconds of a monotonic clock.

        Returns:
            0.0 when there was one, otherwise the seconds until there will be.
        """
        if not self._interval:
            return 0.0
        if now >= self._turn_at:
            self._turn(now)
        spent = self._new.get(key)
        if spent is None:
            spent = self._old.get(key, now)
            if len(self._new) >= self._room:
                key = hash(key) % _SHARED
                spent = max(spent, self._new.get(key, now))
        spent = max(spent, now)
        wait = spent - self._tolerance - now
        if wait > 1e-9:  # noqa: PLR2004 - what adding floats leaves over
            return wait
        self._new[key] = spent + self._interval
        return 0.0

    def _turn(self, now: float) -> None:
        # After a pause of two generations both are full again.
        self._old = self._new if now < self._turn_at + self._generation_s else {}
        self._new = {}
        self._turn_at = now + self._generation_s


class Limiter:
    """All buckets of a worker. Used by its event loop only."""

    def __init__(self, limits: Limits) -> None:
        self._address = {name: Buckets(limits.address.get(name, NO_LIMIT)) for name in RouteClass}
        self._app = {name: Buckets(limits.app) for name in RouteClass}
        self.limits_apps = limits.app.per_s > 0
        """Whether :meth:`app` does anything."""
        self._keys: dict[str, str] = {}

    def address(self, route: RouteClass, peer: str, now: float) -> float:
        """Take a token of a client's address; see Buckets.take."""
        return self._address[route].take(self._key(peer) if ":" in peer else peer, now)

    def app(self, route: RouteClass, app: str, now: float) -> float:
        """Take a token of an app that this server serves, or of ``""`` for all that it does not serve."""
        return self._app[route].take(app, now)

    def _key(self, peer: str) -> str:
        key = self._keys.get(peer)
        if key is None:
            if len(self._keys) >= _ADDRESSES:
                self._keys.clear()
            key = self._keys[peer] = network_of(peer)
        return key


def network_of(peer: str) -> str:
    """Give what one customer has of addresses: an IPv4 address, or the /64 of an IPv6 one.

    **Source:** RFC 6177, section 2, and RIPE-690: a customer gets a /64 or more.
    """
    try:
        address = IPv6Address(peer.partition("%")[0])
    except ValueError:
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}/64"
