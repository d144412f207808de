from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from otagate.gate.sources._sigv4 import Scope, signed
from otagate.identity.interface import AwsKeys

NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("us-east-1", "service")


def test_published_example() -> None:
    """The vector get-vanilla of AWS's own test suite for signature version 4."""
    headers = dict(signed("GET", "https://example.amazonaws.com/", b"", (), scope=SCOPE, keys=KEYS, now=NOW))
    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    }


class FixedAuth(SigV4Auth):  # type: ignore[misc]
    """The same signature by another hand, at our instant."""

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, canonical), request))


@pytest.mark.parametrize(
    ("method", "url", "body", "headers"),
    [
        ("GET", "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/query", b"", ()),
        ("GET", "https://aps.amazonaws.com/api/v1/query?time=1&query=sum%28a%7Bb%3D%22c%20d%22%7D%29&a=&%C3%A9=~-_.", b"", ()),
        (
            "POST",
            "https://monitoring.eu-central-1.amazonaws.com",
            b'{"a": "\xc3\xa9"}',
            (("Content-Type", "application/json"),),
        ),
        ("POST", "http://127.0.0.1:8080/a%20b/%7Bc%7D", b"q=1", (("X-Amz-Target", "A.B"), ("Content-Type", " a   b "))),
        ("POST", "https://monitoring.amazonaws.com:443/", b"", ()),
    ],
)
@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLE=="])
def test_agrees_with_another_implementation(
    method: str, url: str, body: bytes, headers: tuple[tuple[str, str], ...], token: str | None
) -> None:
    keys = AwsKeys(KEYS.access_key_id, KEYS.secret_access_key, token)
    request = AWSRequest(method, url, dict(headers), body)
    FixedAuth(Credentials(*parts_of(keys)), "monitoring", "eu-central-1").add_auth(request)
    found = dict(signed(method, url, body, headers, scope=Scope("eu-central-1", "monitoring"), keys=keys, now=NOW))
    assert found["Authorization"] == request.headers["Authorization"]
    assert found.get("X-Amz-Security-Token") == token


def parts_of(keys: AwsKeys) -> tuple[str, str, str | None]:
    return keys.access_key_id, keys.secret_access_key, keys.session_token


def test_any_zone_is_the_same_instant() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=-5)))
    url = "https://example.amazonaws.com/"
    assert signed("GET", url, b"", (), scope=SCOPE, keys=KEYS, now=local) == signed(
        "GET", url, b"", (), scope=SCOPE, keys=KEYS, now=NOW
    )
