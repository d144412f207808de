"""A bucket on loopback that a CI job reaches only by its own identity: issuer, token exchange and an empty S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from support.ci_app import POLICY
from support.issuer import Clouds, Issuer, Trust, clouds_that_trust, issuing
from support.metric_server import send, serving

AUDIENCE = "sts.amazonaws.com"
EMPTY = b'<?xml version="1.0"?><ListBucketResult><Name>acme-updates</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>'
MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>'


@dataclass
class Bucket:
    """An empty bucket that gives nothing to whoever does not come with a session of ``clouds``."""

    issuer: Issuer
    clouds: Clouds
    url: str = ""
    asked: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def policy(self) -> str:
        """Give the policy of support.ci_app with this bucket for a store."""
        return POLICY.replace("file:STORE", f"s3://acme-updates/shop?region=eu-west-1&endpoint={self.url}&identity=oidc")

    @property
    def environ(self) -> dict[str, str]:
        """Give what a job says besides its token."""
        return {"AWS_ROLE_ARN": self.clouds.role, "AWS_ENDPOINT_URL_STS": self.clouds.url}

    def answer(self, request: BaseHTTPRequestHandler, _: bytes) -> None:
        """Answer that there is nothing, to those who may know."""
        if request.headers.get("X-Amz-Security-Token") not in self.clouds.secrets:
            self.strangers.append(request.path)
            return send(request, b"<Error><Code>AccessDenied</Code></Error>", status=403, Content_Type="application/xml")
        self.asked.append(request.path)
        if "list-type=2" in request.path:
            return send(request, EMPTY, Content_Type="application/xml")
        return send(request, MISSING, status=404, Content_Type="application/xml")


@contextmanager
def bucket_for_identities() -> Iterator[Bucket]:
    """Serve all three."""
    with issuing() as issuer, clouds_that_trust(Trust(issuer.url, AUDIENCE)) as clouds:
        bucket = Bucket(issuer, clouds)
        with serving(bucket.answer) as url:
            bucket.url = url
            yield bucket
