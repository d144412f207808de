"""Amazon CloudFront."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from xml.sax.saxutils import escape

from otagate.errors import UsageError
from otagate.identity.interface import AwsKeys, Identity, Link
from otagate.store.invalidate._post import Request, Target, Wire, endpoint, post
from otagate.store.invalidate.interface import check_paths

PERMISSION = "cloudfront:CreateInvalidation"
_ENDPOINT = "https://cloudfront.amazonaws.com"
_REGION = "us-east-1"
"""The service has one region for signatures. **Source:** AWS General Reference, "Amazon CloudFront endpoints and quotas"."""
_VERSION = "2020-05-31"
_MOST_PATHS = 1000
"""3,000 single paths may be in progress. **Source:** CloudFront Developer Guide, "Quotas on invalidations"."""
_ID = re.compile(r"<Id>([A-Za-z0-9]{1,64})</Id>", re.ASCII)


class CloudFront:
    """See Invalidator. **Source:** CloudFront API Reference, "CreateInvalidation", 2020-05-31."""

    def __init__(
        self, distribution: str, identity: Callable[[], Identity[AwsKeys]], environ: Mapping[str, str], wire: Wire
    ) -> None:
        """Tell this distribution; ``identity`` is found when it is first needed.

        Raises:
            UsageError: ``AWS_ENDPOINT_URL_CLOUDFRONT`` holds an address that credentials are not sent to.
        """
        self.where = f"CloudFront distribution {distribution}"
        base = endpoint(environ, "AWS_ENDPOINT_URL_CLOUDFRONT", _ENDPOINT, local_only=False)
        self._url = f"{base}/{_VERSION}/distribution/{distribution}/invalidation"
        self._find = identity
        self._wire = wire

    @cached_property
    def _identity(self) -> Identity[AwsKeys]:
        return self._find()

    def links(self) -> tuple[Link, ...]:
        """See Invalidator.links."""
        return self._identity.links

    def invalidate(self, paths: Sequence[str]) -> str:
        """See Invalidator.invalidate."""
        check_paths(paths)
        batches = [paths[at : at + _MOST_PATHS] for at in range(0, len(paths), _MOST_PATHS)]
        return ", ".join(self._send(batch) for batch in batches)

    def _send(self, paths: Sequence[str]) -> str:
        items = "".join(f"<Path>{escape(path)}</Path>" for path in paths)
        # The same reference with each attempt: a request whose answer was lost is not carried out twice.
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?><InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/{_VERSION}/">'
            f"<Paths><Quantity>{len(paths)}</Quantity><Items>{items}</Items></Paths>"
            f"<CallerReference>otagate-{secrets.token_hex(16)}</CallerReference></InvalidationBatch>"
        ).encode()
        answer = post(lambda: self._signed(body), Target(self.where, PERMISSION), self._wire)
        found = _ID.search(answer.text)
        return found[1] if found else ""

    def _signed(self, body: bytes) -> Request:
        try:
            from botocore.auth import SigV4Auth  # noqa: PLC0415 - only who tells CloudFront pays
            from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - only who tells CloudFront pays
            from botocore.credentials import Credentials  # noqa: PLC0415 - only who tells CloudFront pays
        except ImportError as error:
            raise UsageError(
                "CloudFront needs a library that is not here", "botocore", remedy="pip install 'otagate[s3]'"
            ) from error
        keys = self._identity.get()
        request = AWSRequest("POST", self._url, {"Content-Type": "application/xml"}, body)
        signer = SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token), "cloudfront", _REGION)
        signer.add_auth(request)
        headers = {str(name): _plain(value) for name, value in request.headers.items()}
        return Request(self._url, headers, body, (keys.session_token or "", keys.secret_access_key))


def _plain(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
