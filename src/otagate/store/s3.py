"""A bucket of Amazon S3, or of a service that speaks its protocol.

What protects the bytes on the way: every request body is sent with its SHA-256 as a checksum (``x-amz-checksum-sha256``), which
the service compares before it stores anything, and which AWS keeps with the object. The signature covers the checksum too
(``x-amz-content-sha256``), but not every service compares that one. A service that knows no such checksum says so, and is then
used without: TLS, and reading back what was published, remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from otagate.identity.aws import aws_identity
from otagate.identity.interface import AwsKeys, Identity
from otagate.store.objects import BrokenRequestError, ObjectError, TransientError, UnsupportedError
from otagate.store.obstore_client import Credentials, retries
from otagate.store.obstore_errors import Operation
from otagate.store.obstore_objects import ObstoreObjects
from otagate.store.s3_place import Place, find_place
from otagate.store.url import BucketUrl

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Store

MAX_SIGNED = timedelta(days=7)
"""**Source:** Amazon S3 API reference, "Authenticating requests: using query parameters (AWS Signature Version 4)"."""
PERMISSIONS = {
    Operation.READ: "s3:GetObject (and s3:ListBucket, without which S3 says 403 for what is not there)",
    Operation.WRITE: "s3:PutObject",
    Operation.CONDITIONAL: "s3:PutObject",
    Operation.DELETE: "s3:DeleteObject",
    Operation.LIST: "s3:ListBucket",
    Operation.SIGN: "s3:GetObject",
}
"""**Source:** Amazon S3 User Guide, "Required permissions for Amazon S3 API operations"."""


def open_objects(url: BucketUrl, environ: Mapping[str, str]) -> S3Objects:
    """Open the bucket that an ``s3://`` URL names. Nothing is asked of the network.

    Raises:
        UsageError: No region is known, or it is none.
        AccessError: No credentials can be had.
    """
    place = find_place(url, environ)
    role, profile = url.options.get("role"), url.options.get("profile")
    identity = aws_identity(role, profile, url.identity, environ, is_foreign=url.is_foreign)
    return S3Objects(url, place, identity)


class S3Objects(ObstoreObjects):
    """See Objects."""

    permissions = PERMISSIONS

    def __init__(self, url: BucketUrl, place: Place, identity: Identity[AwsKeys]) -> None:
        at = f" at {place.service}" if "endpoint" in url.options else f" in {place.region}"
        super().__init__(f"s3://{url.bucket}{at}", place.endpoint, Credentials(identity, _shape))
        self._place, self._identity = place, identity
        self._has_checksums = True

    def _make(self, use: str, options: ClientConfig) -> S3Store:
        from obstore.store import S3Store  # noqa: PLC0415 - as late as obstore itself

        config: Any = {
            "endpoint": self._place.endpoint,
            "aws_endpoint_url_s3": self._place.endpoint,
            "region": self._place.region,
            "virtual_hosted_style_request": not self._place.path_style,
            "skip_signature": False,
            "unsigned_payload": False,
            "conditional_put": "etag",
            # One DELETE for each key: not every service has the other way, and ours are one at a time.
            "disable_bulk_delete": True,
        }
        if self._has_checksums:
            config["checksum_algorithm"] = "SHA256"
        return S3Store(
            self._place.bucket,
            config=config,
            client_options=options,
            retry_config=retries(use),
            credential_provider=self._credentials,
        )

    def _explained(self, error: Exception, operation: Operation) -> ObjectError:
        explained = super()._explained(error, operation)
        is_refused = isinstance(explained, (BrokenRequestError, UnsupportedError)) and "x-amz-" in explained.reason
        if is_refused and "checksum" in explained.reason and self._has_checksums:
            with self._lock:
                self._has_checksums = False
                self._stores.clear()
            return TransientError(explained.reason)
        return explained

    def sign(self, key: str, lifetime: timedelta) -> str:
        """See Objects.sign. It ends early with the session whose credentials sign it."""
        if lifetime > MAX_SIGNED:
            raise UnsupportedError(f"S3 signs for at most {MAX_SIGNED.days} days")
        return super().sign(key, lifetime)

    def address(self, key: str) -> str:
        """See Objects.address."""
        return f"{self._place.root}/{quote(key)}"

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """See Objects.abort_unfinished."""
        from otagate.store.s3_uploads import abort_uploads  # noqa: PLC0415 - botocore is slow to import

        return abort_uploads(self._place, self._identity.get(), prefix, before)


def _shape(keys: AwsKeys) -> dict[str, Any]:
    return {
        "access_key_id": keys.access_key_id,
        "secret_access_key": keys.secret_access_key,
        "token": keys.session_token,
        "expires_at": keys.expires,
    }
