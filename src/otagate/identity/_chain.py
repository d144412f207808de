"""The chain: links in their order, the first that can, and credentials that are kept until they run out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from otagate.errors import AccessError, UnavailableError
from otagate.identity.interface import Identity, Kind, Link

_T = TypeVar("_T")

MARGIN = timedelta(minutes=5)
"""Credentials are renewed so long before they expire, so that an upload that begins with them ends with them."""
_PAUSE = timedelta(seconds=15)
"""Between two tries to renew what still holds."""


@dataclass(frozen=True, slots=True)
class Candidate(Generic[_T]):
    """A link, and how to get credentials from it; ``get`` is None when the link cannot."""

    link: Link
    get: Callable[[], _T] | None = field(default=None, repr=False)


class NoIdentityError(Exception):
    """A metadata service is not there, or says that this machine has no identity: the next link is asked."""


def missing(kind: Kind, detail: str) -> Candidate[_T]:
    """Make a link that cannot."""
    return Candidate(Link(kind, found=False, detail=detail))


def present(kind: Kind, detail: str, get: Callable[[], _T], *, is_static: bool = False) -> Candidate[_T]:
    """Make a link that can."""
    return Candidate(Link(kind, found=True, detail=detail, is_static=is_static), get)


def choose(
    cloud: str,
    candidates: Sequence[Candidate[_T]],
    only: Kind | None,
    remedy: str,
    among: Collection[Kind] = tuple(Kind),
) -> Identity[_T]:
    """Take the first link that can, or the one that ``only`` names.

    A virtual machine or a container platform may offer a metadata service that knows no identity (machines that a CI lends
    are such). That only shows when it is asked: then the next link is, unless ``only`` rules that out.

    Args:
        cloud: What the identity is for.
        candidates: In order; several of one kind count as one link.
        only: The one link to use.
        remedy: What to do where no link can.
        among: The links that may be taken unless ``only`` names one: fewer for an endpoint that is not the cloud's own.

    Raises:
        AccessError: No link can.
    """
    links = tuple(_one([c for c in candidates if c.link.kind is kind], kind) for kind in Kind)
    if only is None:
        links = tuple(c if c.get is None or c.link.kind in among else _barred(cloud, c.link) for c in links)
    able = [c for c in links if c.get is not None and only in {None, c.link.kind}]
    shown = tuple(c.link for c in links)
    if not able:
        raise _nothing(cloud, [link for link in shown if only in {None, link.kind}], only, remedy)
    return Identity(shown, able[0].link, _Getter(cloud, [(c.link.kind, c.get) for c in able if c.get], remedy).get)


def _barred(cloud: str, link: Link) -> Candidate[_T]:
    why = f"it is for {cloud}, and the endpoint is not; identity={link.kind} in the store's URL would take it"
    return missing(link.kind, f"{link.detail}: {why}")


def _one(candidates: Sequence[Candidate[_T]], kind: Kind) -> Candidate[_T]:
    able = next((c for c in candidates if c.get is not None), None)
    return able or missing(kind, "; ".join(dict.fromkeys(c.link.detail for c in candidates)))


class _Getter(Generic[_T]):
    def __init__(self, cloud: str, able: Sequence[tuple[Kind, Callable[[], _T]]], remedy: str) -> None:
        self._cloud, self._able, self._remedy = cloud, able, remedy
        self._first = 0

    def get(self) -> _T:
        reasons: list[Link] = []
        for at in range(self._first, len(self._able)):
            kind, get = self._able[at]
            try:
                value = get()
            except NoIdentityError as error:
                reasons.append(Link(kind, found=False, detail=str(error)))
                continue
            self._first = at
            return value
        raise _nothing(self._cloud, reasons, None, self._remedy)


def _nothing(cloud: str, links: Sequence[Link], only: Kind | None, remedy: str) -> AccessError:
    what = f"there is no identity for {cloud}" if only is None else f"there is no identity for {cloud} of the kind `{only}`"
    return AccessError(what, remedy=remedy, details=tuple(f"{link.kind}: {link.detail}" for link in links))


class Lasting(Generic[_T]):
    """Credentials that are fetched when they are first needed, and again before they expire. Safe for threads."""

    def __init__(self, fetch: Callable[[], _T], expires: Callable[[_T], datetime | None], now: Callable[[], datetime]) -> None:
        """Fetch with ``fetch``; ``expires`` reads the end of what came, None for no end."""
        self._fetch, self._expires, self._now = fetch, expires, now
        self._lock = threading.Lock()
        self._held: _T | None = None
        self._not_before: datetime | None = None

    def get(self) -> _T:
        """Give credentials that hold for five minutes more, or as long as the service gives them.

        Raises:
            AccessError: The service refuses.
            UnavailableError: It does not answer, and what is held has expired.
        """
        with self._lock:
            now = self._now()
            if self._held is not None and (self._holds(self._held, now + MARGIN) or self._waits(self._held, now)):
                return self._held
            try:
                self._held = self._fetch()
            except UnavailableError:
                if self._held is None or not self._holds(self._held, now):
                    raise
            # What a service gives again shortly before its end, or could not renew, is used while it holds.
            self._not_before = self._now() + _PAUSE
            return self._held

    def _holds(self, held: _T, until: datetime) -> bool:
        end = self._expires(held)
        return end is None or end > until

    def _waits(self, held: _T, now: datetime) -> bool:
        return self._not_before is not None and now < self._not_before and self._holds(held, now)
