"""The CDNs that a policy names, ready to be told. Nothing is asked of the network, and no identity looked for, before that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from otagate._bucket_url import BucketUrl
from otagate.identity.interface import AwsKeys, AzureCredential, Bearer, Identity, Kind
from otagate.policy.model.stores import CdnSpec
from otagate.store.invalidate._post import Wire
from otagate.store.invalidate.interface import Invalidator

__all__ = ["Wire", "open_invalidators"]


def open_invalidators(
    spec: CdnSpec,
    environ: Mapping[str, str],
    folder: Path,
    *,
    bucket: BucketUrl | None = None,
    wire: Wire | None = None,
) -> tuple[Invalidator, ...]:
    """Open each CDN that ``spec`` names.

    Args:
        spec: What the policy says.
        environ: The environment of the process.
        folder: Where relative ``file:`` references start: the policy's folder.
        bucket: The store behind the CDN. Its options ``role``, ``profile``, ``provider``, ``service_account``, ``client``,
            ``tenant`` and ``identity`` also hold for a CDN of the same cloud.
        wire: Time and network; for tests.

    Raises:
        UsageError: A variable holds an address that credentials are not sent to.
    """
    wire, found = wire or Wire(), list[Invalidator]()
    if spec.cloudfront is not None:
        from otagate.store.invalidate.cloudfront import CloudFront  # noqa: PLC0415 - only what the policy names is loaded

        found.append(CloudFront(spec.cloudfront, lambda: _aws(bucket, environ), environ, wire))
    if spec.cloud_cdn is not None:
        from otagate.store.invalidate.cloud_cdn import CloudCdn  # noqa: PLC0415 - likewise

        found.append(CloudCdn(spec.cloud_cdn, lambda: _google(bucket, environ), environ, wire))
    if spec.front_door is not None:
        from otagate.store.invalidate.front_door import FrontDoor  # noqa: PLC0415 - likewise

        found.append(FrontDoor(spec.front_door, lambda: _azure(bucket, environ), environ, wire))
    if spec.webhook is not None:
        from otagate.store.invalidate.webhook import Webhook  # noqa: PLC0415 - likewise

        found.append(Webhook(spec.webhook, environ, folder, _origin(bucket), wire))
    return tuple(found)


def _origin(bucket: BucketUrl | None) -> str:
    parts = urlsplit(bucket.public) if bucket is not None and bucket.public else None
    return f"{parts.scheme}://{parts.netloc}" if parts else ""


def _options(bucket: BucketUrl | None, scheme: str) -> tuple[Mapping[str, str], Kind | None]:
    return (bucket.options, bucket.identity) if bucket is not None and bucket.scheme == scheme else ({}, None)


def _aws(bucket: BucketUrl | None, environ: Mapping[str, str]) -> Identity[AwsKeys]:
    from otagate.identity.aws import aws_identity  # noqa: PLC0415 - likewise

    options, only = _options(bucket, "s3")
    return aws_identity(options.get("role"), options.get("profile"), only, environ)


def _google(bucket: BucketUrl | None, environ: Mapping[str, str]) -> Identity[Bearer]:
    from otagate.identity.google import CLOUD_SCOPES, google_identity  # noqa: PLC0415 - likewise

    options, only = _options(bucket, "gs")
    return google_identity(options.get("provider"), options.get("service_account"), only, environ, CLOUD_SCOPES)


def _azure(bucket: BucketUrl | None, environ: Mapping[str, str]) -> Identity[AzureCredential]:
    from otagate.identity.azure import MANAGEMENT_SCOPE, azure_identity  # noqa: PLC0415 - likewise

    options, only = _options(bucket, "az")
    return azure_identity(options.get("client"), options.get("tenant"), only, environ, MANAGEMENT_SCOPE)
