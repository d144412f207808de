"""The way that phones take: the public address of a store; and how far the store's clock is from ours."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from otagate._client import open_client
from otagate._text import harmless, span
from otagate.errors import OtagateError, UsageError
from otagate.flow.doctor.codes import Severity
from otagate.flow.doctor.model import Check, from_error, trouble
from otagate.flow.doctor.patient import Patient, Place
from otagate.flow.workspace import Workspace
from otagate.model import Digest
from otagate.store.interface import MAX_DOCUMENT_BYTES, Store
from otagate.store.keys import blob_key
from otagate.store.public import PublicReader
from otagate.store.url import parse_bucket_url

GROUP = "public"
SKEW_WARNED = timedelta(minutes=2)
"""Tokens of a CI are often valid from their second on."""
SKEW_REFUSED = timedelta(minutes=15)
"""**Source:** Amazon S3 API reference, "Error responses": RequestTimeTooSkewed."""
_TIMEOUT_S = 10.0
_SCHEMES = frozenset({"s3", "gs", "az"})


def check_public(patient: Patient, place: Place, digest: Digest, body: bytes) -> Iterator[Check]:
    """Read a blob that was just stored as a phone does, and look at its headers."""
    if place.scheme not in _SCHEMES:
        return
    base = parse_bucket_url(place.url).public
    if base is None:
        return
    reader, name = PublicReader(base), f"{place.role}: public address"
    patient.listener.note(f"reading through {base}")
    try:
        with reader.open(blob_key(digest)) as stream:
            found = stream.read(len(body) + 1)
        served = reader.check_headers(blob_key(digest), is_pointer=False)
    except OtagateError as error:
        yield Check(GROUP, name, base, (from_error("public.unreachable", error, base),))
        return
    finally:
        reader.close()
    troubles = [trouble("public.headers", served.url, problem) for problem in served.problems]
    if found != body:
        what = f"{len(body)} bytes were stored, and other ones came: {Digest.of(found)} instead of {digest}"
        troubles.append(trouble("public.wrong-bytes", served.url, what))
    detail = f"{base}: the bytes that were stored, Cache-Control {served.cache_control or 'none'}"
    yield Check(GROUP, name, detail, tuple(troubles), more=(served.cache,) if served.cache else ())


def check_public_pointer(workspace: Workspace, key: str, subject: str) -> Iterator[Check]:
    """Where devices or an update server read pointers through the CDN: is the one that it serves the present one."""
    policy = workspace.policy
    url = policy.documents or policy.storage
    if policy.cdn is None or not policy.cdn.pointers or url.partition(":")[0] not in _SCHEMES:
        return
    base = parse_bucket_url(url).public
    here = workspace.store.documents.read(key)
    if base is None or here is None:
        return
    reader = PublicReader(base)
    try:
        there, _ = reader.get(key, MAX_DOCUMENT_BYTES)
        served = reader.check_headers(key, is_pointer=True)
    except OtagateError as error:
        yield Check(GROUP, subject, base, (from_error("public.unreachable", error, base),))
        return
    finally:
        reader.close()
    troubles = [trouble("public.headers", served.url, problem) for problem in served.problems]
    if there != here.body:
        what = f"{subject} was moved in the store, and the public address still gives another pointer"
        troubles.append(trouble("public.old-pointer", served.url, f"{what}; {served.cache}" if served.cache else what))
    yield Check(GROUP, subject, f"{served.url}: as in the store", tuple(troubles))


def check_clock(patient: Patient, place: Place, store: Store, digest: Digest) -> Iterator[Check]:
    """Compare this machine's clock with that of a service that is asked over HTTP."""
    if not store.where or place.role in patient.gone:
        return
    name = f"{place.role}: clock"
    before = patient.clock.now()
    theirs = service_date(store.blobs.url(digest))
    if theirs is None:
        yield Check("stores", name, "the service gives no date", is_made=False)
        return
    ours = before + (patient.clock.now() - before) / 2
    apart = abs(ours - theirs)
    if apart < SKEW_WARNED:
        yield Check("stores", name, "as this machine's")
        return
    way = "ahead of" if ours > theirs else "behind"
    what = f"this machine's clock is {span(timedelta(seconds=round(apart.total_seconds())))} {way} the store's"
    severity = Severity.ERROR if apart >= SKEW_REFUSED else Severity.WARNING
    yield Check("stores", name, "", (trouble("clock.skew", urlsplit(store.blobs.url(digest)).netloc, what, severity=severity),))


def service_date(address: str) -> datetime | None:
    """Give what the service behind an address takes for the present, or None when it does not answer.

    It is asked for an object without credentials: whatever the answer is, it bears a date.
    """
    import httpx  # noqa: PLC0415 - only who uses a cloud pays for it

    is_local = urlsplit(address).hostname in {"127.0.0.1", "localhost", "::1"}
    try:
        with open_client(timeout=_TIMEOUT_S, trust_env=not is_local) as client:
            header = client.head(address).headers.get("Date", "")
        found = email.utils.parsedate_to_datetime(harmless(header, 60))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, UsageError):
        return None
    return found if found.tzinfo is not None else None
