"""What stands between the store and the devices, told when something behind it changed, and looked at until it shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

from otagate._bucket_url import BucketUrl
from otagate._text import span
from otagate.errors import NotFoundError, OtagateError, UnavailableError, UsageError
from otagate.policy.model.stores import CdnSpec
from otagate.store._public_answer import cache_facts
from otagate.store.interface import MAX_DOCUMENT_BYTES
from otagate.store.invalidate.interface import Invalidator
from otagate.store.invalidate.registry import Wire, open_invalidators
from otagate.store.public import Bounds, Pace, PublicReader

MAX_POLL_S = 5.0
"""Longest pause between two looks at the public address."""


class Cdn:
    """The CDNs of a policy."""

    def __init__(
        self,
        spec: CdnSpec,
        invalidators: Sequence[Invalidator],
        base_path: str,
        reader: PublicReader | None,
        pace: Pace | None = None,
    ) -> None:
        """Put together what :func:`open_cdn` opens.

        Args:
            spec: What the policy says.
            invalidators: The CDNs.
            base_path: What stands before each key in a path: empty, or ``/`` and names without a slash at the end.
            reader: Reads the public address; None: it is not looked at.
            pace: Time; for tests.
        """
        self.invalidators = tuple(invalidators)
        self._spec, self._base_path, self._reader = spec, base_path, reader
        self._pace = pace or Pace()

    def pointer_moved(self, key: str, body: bytes, is_newer: Callable[[bytes], bool] | None = None) -> tuple[str, ...]:
        """Have the CDNs forget a pointer that was written, and wait until the public address shows it.

        It is waited for only when the policy says ``pointers: true``, and for at most its ``wait``. Safe to do twice.

        Args:
            key: The pointer's key.
            body: What was written.
            is_newer: Says of other bytes that they are a pointer that somebody wrote later; that is fine, too.

        Returns:
            What each CDN calls the request, with the CDN's name, to be shown.

        Raises:
            UnavailableError: The CDN still gives the old pointer, or does not answer.
            OtagateError: It could not be told; see Invalidator. The channel is moved all the same.
        """
        told = self._tell([key], "the channel is moved in the store")
        if self._spec.pointers and self._reader is not None:
            self._await(self._reader, key, body, is_newer or (lambda _: False))
        return told

    def shows(self, key: str, body: bytes, is_newer: Callable[[bytes], bool] | None = None) -> bool:
        """Look once whether the public address shows a pointer already, so that no CDN is told without need.

        Args:
            key: As for :meth:`pointer_moved`; likewise the others.
            body: What was written.
            is_newer: Says of other bytes that they are a later pointer.

        Returns:
            Whether it does; False also when it is not looked at, or does not answer.
        """
        if not self._spec.pointers or self._reader is None:
            return False
        try:
            found, _ = self._reader.get(key, MAX_DOCUMENT_BYTES, within=0)
        except OtagateError:
            return False  # whoever then tells the CDN and waits is told why
        return found == body or (is_newer is not None and is_newer(found))

    def blobs_gone(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Have the CDNs forget blobs that were deleted: a damaged copy would be served for a year.

        Args:
            keys: The blobs' keys; nothing happens when there are none.

        Returns:
            As :meth:`pointer_moved`.

        Raises:
            OtagateError: A CDN could not be told; see Invalidator.
        """
        return self._tell(keys, "the blobs are gone from the store") if keys else ()

    def _tell(self, keys: Sequence[str], done: str) -> tuple[str, ...]:
        paths = [f"{self._base_path}/{quote(key, safe='/~')}" for key in keys]
        told, failed = list[str](), list[OtagateError]()
        for cdn in self.invalidators:
            try:
                name = cdn.invalidate(paths)
            except OtagateError as error:
                failed.append(error)  # the others are told first
            else:
                told.append(f"{cdn.where}: {name}" if name else cdn.where)
        if failed:
            first, *others = failed
            details = (*first.details, *(f"{error.what}: {error.subject}" for error in others))
            raise replace(first, what=f"{done}, but {first.what}", details=details) from first
        return tuple(told)

    def _await(self, reader: PublicReader, key: str, body: bytes, is_newer: Callable[[bytes], bool]) -> None:
        pace, wait = self._pace, self._spec.wait.total_seconds()
        end, pause = pace.monotonic() + wait, 0.5
        while True:
            found = _look(reader, key, body, is_newer)
            if found is None:
                return
            if pace.monotonic() + pause >= end:
                raise _still_old(reader.url(key), found, self._spec.wait)
            pace.sleep(pause)
            pause = min(MAX_POLL_S, pause * 1.5)


def _look(reader: PublicReader, key: str, body: bytes, is_newer: Callable[[bytes], bool]) -> str | None:
    """Give None when the public address shows the pointer or a newer one; otherwise what it shows, in words."""
    try:
        found, headers = reader.get(key, MAX_DOCUMENT_BYTES, within=0)
    except (NotFoundError, UnavailableError) as error:
        return error.found or error.what
    except OtagateError as error:
        raise replace(error, what=f"the channel is moved in the store, but {error.what}") from error
    if found == body or is_newer(found):
        return None
    facts = cache_facts(headers)
    return f"another pointer ({facts})" if facts else "another pointer"


def _still_old(url: str, found: str, waited: timedelta) -> UnavailableError:
    return UnavailableError(
        "the channel is moved in the store, but the CDN does not give the new pointer yet",
        url,
        expected=f"the new pointer within {span(waited)}",
        found=found,
        remedy="run the command again to look again; let the CDN obey no-cache for apps/*/channels/, or name it under `cdn` "
        "so that it is told (docs/cdn.md), or raise cdn.wait",
    )


def open_cdn(
    spec: CdnSpec,
    bucket: BucketUrl | None,
    environ: Mapping[str, str],
    folder: Path,
    *,
    wire: Wire | None = None,
    bounds: Bounds | None = None,
) -> Cdn:
    """Open the CDNs of a policy. Nothing is asked of the network, and no identity looked for.

    Args:
        spec: What the policy says.
        bucket: The store that the CDN stands in front of, by its URL; None for a folder. Its ``public`` says which paths the
            CDN knows; without one the paths are those in the bucket.
        environ: The environment of the process.
        folder: The policy's folder.
        wire: Time and network; for tests.
        bounds: Of reading the public address; for tests.

    Raises:
        UsageError: Pointers are to be looked for, and no public address is known; or see :func:`open_invalidators`.
    """
    public = bucket.public if bucket is not None else None
    if spec.pointers and public is None:
        raise UsageError(
            "which address the CDN serves is not known",
            "cdn.pointers",
            expected="public=https://HOST in the storage URL",
            remedy="add it, such as s3://BUCKET?public=https://updates.example.com, or take `pointers` out",
        )
    wire = wire or Wire()
    pace = Pace(wire.sleep, wire.monotonic, wire.jitter)
    invalidators = open_invalidators(spec, environ, folder, bucket=bucket, wire=wire)
    reader = PublicReader(public, bounds=bounds, pace=pace, transport=wire.transport) if spec.pointers and public else None
    return Cdn(spec, invalidators, _base_path(bucket), reader, pace)


def _base_path(bucket: BucketUrl | None) -> str:
    if bucket is None:
        return ""
    return urlsplit(bucket.public).path.rstrip("/") if bucket.public else f"/{bucket.prefix}".rstrip("/")
