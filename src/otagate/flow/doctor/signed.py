"""Whether devices can be served from a private bucket: an address that is signed for a minute, read without an identity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from otagate._client import open_client
from otagate.errors import OtagateError, UsageError
from otagate.flow.doctor.model import Check, from_error, trouble
from otagate.flow.doctor.patient import Place
from otagate.model import Digest
from otagate.store.interface import Store
from otagate.store.url import parse_bucket_url

LIFE = timedelta(minutes=1)
_TIMEOUT_S = 10.0
_SCHEMES = frozenset({"s3", "gs", "az"})
_OK = 200


def check_signed(place: Place, store: Store, digest: Digest, body: bytes) -> Iterator[Check]:
    """Read a blob that was just stored by its signed address; only where the policy names no public address."""
    if place.scheme not in _SCHEMES or parse_bucket_url(place.url).public is not None:
        return
    name = f"{place.role}: signed address"
    try:
        found = _get(store.blobs.signed_url(digest, LIFE), len(body))
    except UsageError as error:
        # Nobody needs it who lets the public read, or gives the bundles to a server that has an identity of its own.
        yield Check("stores", name, f"this identity signs none: {error.found}", is_made=False)
        return
    except OtagateError as error:
        yield Check("stores", name, "", (from_error("store.signing", error, store.url),))
        return
    troubles = () if found == body else (trouble("store.signing", store.url, f"a signed address gave {_said(found)}"),)
    yield Check("stores", name, "one that holds for a minute gave the bytes that were stored", troubles)


def _get(address: str, size: int) -> bytes | str:
    """Give what stands there, or what happened instead, without the address: until it ends it is a secret."""
    import httpx  # noqa: PLC0415 - only who uses a cloud pays for it

    try:
        with (
            open_client(timeout=_TIMEOUT_S, trust_env=not address.startswith("http:")) as client,
            client.stream("GET", address) as answer,
        ):
            if answer.status_code != _OK:
                return f"HTTP {answer.status_code}"
            found = b""
            for piece in answer.iter_raw(65_536):
                found += piece
                if len(found) > size:
                    break
            return found
    except httpx.HTTPError as error:
        return type(error).__name__
    except UsageError as error:
        return error.what


def _said(found: bytes | str) -> str:
    return found if isinstance(found, str) else "other bytes than were stored"
