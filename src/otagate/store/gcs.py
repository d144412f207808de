"""Buckets of Google Cloud Storage: opens them, with the credentials that their URL asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from otagate.store.gcs_objects import GoogleObjects
from otagate.store.gcs_sign import Signer
from otagate.store.gcs_wire import Wire
from otagate.store.objects import Objects
from otagate.store.url import BucketUrl

DEFAULT_ENDPOINT = "https://storage.googleapis.com"
"""**Source:** Cloud Storage, "Request endpoints": the JSON API's host, also of uploads, downloads and public objects."""
_LOOPBACK = re.compile(r"https?://(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/].*)?", re.ASCII)


def open_objects(url: BucketUrl, environ: Mapping[str, str]) -> Objects:
    """Open a bucket. Nothing is asked of the network before the first operation.

    Requests go to the URL's ``endpoint`` or to Google, whatever ``STORAGE_EMULATOR_HOST`` says: a variable that somebody left
    behind must not send a release elsewhere. An endpoint on this machine is an emulator and gets no credentials, unless the URL
    says which ``identity`` to use.

    Args:
        url: Of the scheme ``gs``.
        environ: Where the identity's chain looks.

    Raises:
        AccessError: No link of the identity's chain can give credentials.
    """
    endpoint = url.options.get("endpoint", DEFAULT_ENDPOINT)
    where = url.shown if endpoint == DEFAULT_ENDPOINT else f"gs://{url.bucket} at {endpoint}"
    if _LOOPBACK.fullmatch(endpoint) and url.identity is None:
        return GoogleObjects(Wire(None, is_plain=endpoint.startswith("http://")), endpoint, url.bucket, where)
    from otagate.identity.google import CLOUD_SCOPES, google_identity  # noqa: PLC0415 - an emulator needs none

    provider, account = url.options.get("provider"), url.options.get("service_account")
    identity = google_identity(provider, account, url.identity, environ, is_foreign=url.is_foreign)
    signing = account or environ.get("GOOGLE_SERVICE_ACCOUNT")
    signer = None
    if signing:
        # A wider token than storing needs, so it is one of its own, and only taken when something is signed.
        signer = Signer(lambda: Wire(google_identity(provider, account, url.identity, environ, CLOUD_SCOPES).get), signing)
    wire = Wire(identity.get, is_plain=endpoint.startswith("http://"))
    return GoogleObjects(wire, endpoint, url.bucket, where, signer)
