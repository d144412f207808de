"""Where devices fetch bundles: this server, a public address in front of the store, or signed addresses of the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import BinaryIO

from otagate._bucket_url import OPTIONS
from otagate._clock import Clock
from otagate.errors import OtagateError, UnavailableError, UsageError
from otagate.model import Digest
from otagate.server.http.downloads import PREFIX
from otagate.server.interface import AppView, Links
from otagate.server.parts import Bundles
from otagate.store.interface import BlobStore
from otagate.store.url import parse_bucket_url

LOG = logging.getLogger("otagate.server")
LIFETIME = timedelta(hours=2)
"""Of a signed address. One that is given out holds for at least half of it: a phone may begin late and be slow."""
_RENEW_AFTER = LIFETIME * 0.4
_USE_UNTIL = LIFETIME * 0.5
FAILURE_KEPT = timedelta(seconds=5)
_WAIT_S = 0.3
"""How long an answer waits for an address that was never signed; see SignedLinks.warm."""
_KEPT = 4096
_SIGNERS = 4


class LinkMode(StrEnum):
    """How links are made."""

    AUTO = "auto"
    """``own`` for a folder, ``public`` for a bucket whose URL says ``public=``, ``signed`` for other buckets."""
    OWN = "own"
    """By this server."""
    PUBLIC = "public"
    SIGNED = "signed"


def choose_links(url: str, blobs: BlobStore, clock: Clock, mode: LinkMode = LinkMode.AUTO) -> tuple[Links, Bundles | None]:
    """Choose how devices get at a store's bundles.

    Args:
        url: The store's URL as the policy has it, with its options.
        blobs: The store.
        clock: Time.
        mode: How.

    Returns:
        The links, and the bytes when this server hands them out itself.

    Raises:
        UsageError: A folder has neither public nor signed addresses.
    """
    is_bucket = url.partition(":")[0].lower() in OPTIONS
    if mode is LinkMode.AUTO:
        public = is_bucket and parse_bucket_url(url).public is not None
        mode = LinkMode.OWN if not is_bucket else LinkMode.PUBLIC if public else LinkMode.SIGNED
    if mode is LinkMode.OWN:
        return ServerLinks(), DirectBundles(blobs)
    if not is_bucket:
        raise UsageError(
            f"a folder has no {mode} addresses",
            "the store",
            expected="downloads from this server",
            found=mode.value,
            remedy="say auto or own, or serve a bucket (docs/stores.md)",
        )
    return (PublicLinks(blobs) if mode is LinkMode.PUBLIC else SignedLinks(blobs, clock)), None


class ServerLinks:
    """Links to this server's own downloads. See Links."""

    def address(self, digest: Digest, base: str) -> str:
        """See Links.address."""
        return f"{base}{PREFIX}{digest.hex}"


class PublicLinks:
    """Links to the store's public address. See Links."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def address(self, digest: Digest, base: str) -> str:
        """See Links.address."""
        return self._blobs.url(digest)


class DirectBundles:
    """A store's bundles past its public address, which may be this very server. See server.parts.Bundles."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def size(self, digest: Digest) -> int | None:
        """See Bundles.size."""
        return self._blobs.size(digest)

    def open(self, digest: Digest, start: int = 0) -> AbstractContextManager[BinaryIO]:
        """See Bundles.open."""
        return self._blobs.open(digest, start, direct=True)


@dataclass(frozen=True, slots=True)
class _Kept:
    """An address, or why there is none, with when it was signed or asked for."""

    at: datetime
    url: str = ""
    error: OtagateError | None = None


class SignedLinks:
    """Signed addresses of the store, kept by digest and renewed before half of their lifetime is over. See Links."""

    def __init__(self, blobs: BlobStore, clock: Clock, wait_s: float = _WAIT_S) -> None:
        self._blobs = blobs
        self._clock = clock
        self._wait_s = wait_s
        self._kept: dict[Digest, _Kept] = {}
        self._failed: dict[Digest, _Kept] = {}
        self._under_way: dict[Digest, Future[_Kept]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_SIGNERS, "sign")

    def address(self, digest: Digest, base: str) -> str:
        """See Links.address.

        Raises:
            OtagateError: The store could not sign a moment ago; UnavailableError also while it has not answered yet.
        """
        now = self._clock.now()
        kept = self._kept.get(digest)
        if kept is not None and now - kept.at < _RENEW_AFTER:
            return kept.url
        failed = self._failed.get(digest)
        has_failed = failed is not None and now - failed.at < FAILURE_KEPT
        under_way = None if has_failed else self._sign(digest)
        if kept is not None and now - kept.at < _USE_UNTIL:
            return kept.url
        found = failed if under_way is None else self._waited_for(digest, under_way, now)
        if found is None:
            raise _no_address(digest)
        if found.error is not None:
            # The same error again and again: with its traceback it would grow by each answer that it ended.
            raise found.error.with_traceback(None)
        return found.url

    def warm(self, view: AppView) -> None:
        """Sign the addresses of everything that an app's channels name, so that no device waits for it. Returns at once."""
        now = self._clock.now()
        for digest in {release.sealed.blob for release in view.releases.values()}:
            kept = self._kept.get(digest)
            if kept is None or now - kept.at >= _RENEW_AFTER:
                self._sign(digest)

    def stop(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _waited_for(self, digest: Digest, under_way: Future[_Kept], now: datetime) -> _Kept:
        try:
            return under_way.result(self._wait_s)
        except NotYet:
            # Others wait while this one does, so they must not wait one after the other for a store that hangs.
            late = _Kept(
                now, error=UnavailableError("the store has not signed the address yet", str(digest), remedy="ask again")
            )
        with self._lock:
            self._failed[digest] = late
        return late

    def _sign(self, digest: Digest) -> Future[_Kept]:
        with self._lock:
            future = self._under_way.get(digest)
            if future is None:
                future = self._under_way[digest] = self._pool.submit(self._signed, digest)
            return future

    def _signed(self, digest: Digest) -> _Kept:
        at = self._clock.now()
        try:
            kept = _Kept(at, self._blobs.signed_url(digest, LIFETIME))
        except OtagateError as error:
            LOG.error("cannot_sign", extra={"detail": str(error).splitlines()[0]})  # noqa: TRY400 - no bug
            kept = _Kept(at, error=error)
        finally:
            with self._lock:
                self._under_way.pop(digest, None)
        with self._lock:
            if kept.error is None:
                self._failed.pop(digest, None)
                _drop_old(self._kept, at - LIFETIME)
                self._kept[digest] = kept
            else:
                _drop_old(self._failed, at - FAILURE_KEPT)
                self._failed[digest] = kept
        return kept


def _drop_old(kept: dict[Digest, _Kept], before: datetime) -> None:
    if len(kept) >= _KEPT:
        old: Iterable[Digest] = [digest for digest, one in kept.items() if one.at < before]
        for digest in old:
            del kept[digest]


def _no_address(digest: Digest) -> OtagateError:
    return UnavailableError("the store gives no address", str(digest), remedy="ask again")
