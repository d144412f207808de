"""Who this machine is to each cloud of the policy: the whole chain, which link is used, and whether the cloud agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from otagate.errors import AccessError, OtagateError, UnavailableError
from otagate.flow.doctor.model import Check, from_error, trouble
from otagate.flow.doctor.patient import Patient, Place, public_words
from otagate.identity.interface import Identity
from otagate.store.url import BucketUrl, parse_bucket_url

GROUP = "identity"
_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")


def check_identity(patient: Patient) -> Iterator[Check]:
    """Show the chain of each cloud, and get credentials from the link in use."""
    seen: dict[tuple[object, ...], str] = {}
    for place in patient.places:
        if place.scheme not in _OPENERS:
            continue
        try:
            url = parse_bucket_url(place.url)
        except OtagateError as error:
            yield Check(GROUP, place.role, public_words(error), is_made=False)
            continue
        asked = (url.scheme, url.identity, url.is_foreign, *(url.options.get(name) for name in _ASKED))
        if asked in seen:
            if seen[asked] in patient.gone:
                patient.gone.add(place.role)
            yield Check(GROUP, place.role, f"as {seen[asked]}")
            continue
        seen[asked] = place.role
        yield _one(patient, place, url)


def _one(patient: Patient, place: Place, url: BucketUrl) -> Check:
    endpoint = url.options.get("endpoint", "")
    if url.scheme == "gs" and endpoint.startswith(_LOOPBACK) and url.identity is None:
        return Check(GROUP, place.role, "none: an emulator on this machine is asked without credentials")
    try:
        identity = _OPENERS[url.scheme](url, patient)
    except ModuleNotFoundError as error:
        return Check(GROUP, place.role, f"its libraries are not installed: no module {error.name}", is_made=False)
    except OtagateError as error:
        patient.gone.add(place.role)
        return Check(GROUP, place.role, "", (from_error("identity.none", error, url.shown),))
    return _tried(patient, place, url, identity)


def _tried(patient: Patient, place: Place, url: BucketUrl, identity: Identity[Any]) -> Check:
    more = tuple(
        f"{link.kind}: {link.detail}{' (in use)' if link == identity.used else '' if link.found else ' (not found)'}"
        for link in identity.links
    )
    troubles = []
    if identity.used.is_static:
        what = f"{identity.used.detail}, is in use: it does not expire and can leak"
        fix = "" if not url.is_foreign else "give it rights on this bucket only, keep it in the CI's secrets, and renew it"
        troubles.append(trouble("identity.static-key", url.shown, what, fix=fix))
    try:
        identity.get()
    except AccessError as error:
        troubles.append(from_error("identity.refused", error, url.shown))
    except UnavailableError as error:
        troubles.append(from_error("identity.unreachable", error, url.shown))
    except OtagateError as error:
        troubles.append(from_error("identity.none", error, url.shown))
    if any(found.code != "identity.static-key" for found in troubles):
        patient.gone.add(place.role)
    return Check(GROUP, place.role, f"{identity.used.kind}: {identity.used.detail}", tuple(troubles), more=more)


def _aws(url: BucketUrl, patient: Patient) -> Identity[Any]:
    from otagate.identity.aws import aws_identity  # noqa: PLC0415 - only who uses AWS pays for it

    role, profile = url.options.get("role"), url.options.get("profile")
    return aws_identity(role, profile, url.identity, patient.environ, is_foreign=url.is_foreign)


def _azure(url: BucketUrl, patient: Patient) -> Identity[Any]:
    from otagate.identity.azure import azure_identity  # noqa: PLC0415 - likewise

    client, tenant = url.options.get("client"), url.options.get("tenant")
    return azure_identity(client, tenant, url.identity, patient.environ, is_foreign=url.is_foreign)


def _google(url: BucketUrl, patient: Patient) -> Identity[Any]:
    from otagate.identity.google import google_identity  # noqa: PLC0415 - likewise

    provider, account = url.options.get("provider"), url.options.get("service_account")
    return google_identity(provider, account, url.identity, patient.environ, is_foreign=url.is_foreign)


_OPENERS: dict[str, Callable[[BucketUrl, Patient], Identity[Any]]] = {"s3": _aws, "gs": _google, "az": _azure}
_ASKED = ("role", "profile", "client", "tenant", "provider", "service_account")
