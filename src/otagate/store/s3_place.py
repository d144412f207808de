"""Where a bucket of S3 stands: service, region and form of address. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from otagate._text import harmless
from otagate.errors import UsageError
from otagate.store.url import BucketUrl

DEFAULT_REGION = "us-east-1"
"""What compatible services take when they have no regions."""

_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket stands. None of it is secret.

    Attributes:
        service: The address of the service, without a slash at its end.
        bucket: The bucket's name.
        region: What requests are signed for.
        path_style: Whether the bucket's name stands in the path, and not before the host.
    """

    service: str
    bucket: str
    region: str
    path_style: bool

    @property
    def root(self) -> str:
        """Give the bucket's own address: a slash and a key after it address an object."""
        parts = urlsplit(self.service)
        if self.path_style:
            return f"{self.service}/{self.bucket}"
        return f"{parts.scheme}://{self.bucket}.{parts.netloc}{parts.path}"

    @property
    def endpoint(self) -> str:
        """Give the address as obstore wants it: with the bucket in it only where that stands before the host."""
        return self.service if self.path_style else self.root


def find_place(url: BucketUrl, environ: Mapping[str, str]) -> Place:
    """Find where the bucket of an ``s3://`` URL stands: its options first, then ``AWS_REGION`` and ``AWS_DEFAULT_REGION``.

    Raises:
        UsageError: No region is known, or it is none.
    """
    endpoint = url.options.get("endpoint")
    region = (url.options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "").strip()
    if not region and endpoint is None:
        raise UsageError(
            "the region of the bucket is not known",
            url.shown,
            expected="region= in the URL, or AWS_REGION",
            remedy=f"write {url.shown}?region=eu-west-1, with the bucket's own region",
        )
    region = region or DEFAULT_REGION
    if not _REGION.fullmatch(region):
        raise UsageError("this is not a region", url.shown, expected="a name such as eu-west-1", found=harmless(region, 40))
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    # The certificate of the virtual-hosted form covers one level of names.
    is_path_default = endpoint is not None or "." in url.bucket
    path_style = {"true": True, "false": False}.get(url.options.get("path_style", ""), is_path_default)
    return Place(endpoint or f"https://s3.{region}.{domain}", url.bucket, region, path_style)
