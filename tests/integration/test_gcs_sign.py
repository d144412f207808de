"""Signed addresses: as Google's own library makes them, with a key that stays at Google."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.auth.credentials import AnonymousCredentials, Signing
from google.cloud.storage import Client  # type: ignore[import-untyped]

from otagate.identity.interface import Bearer
from otagate.store.gcs_objects import GoogleObjects
from otagate.store.gcs_sign import Signer
from otagate.store.gcs_wire import Wire
from otagate.store.objects import Absent, DeniedError, Headers, TransientError, UnsupportedError
from support.keys import golden
from support.metric_server import send, serving
from support.servers import fake_gcs

pytestmark = pytest.mark.integration

ACCOUNT = "ota@acme.iam.gserviceaccount.com"
HOUR = timedelta(hours=1)


def rsa_sign(message: bytes) -> bytes:
    private = load_pem_private_key(golden().private_pem.encode(), None)
    assert isinstance(private, RSAPrivateKey)
    return private.sign(message, PKCS1v15(), SHA256())


class Iam:
    """The IAM service: signs, or answers what it is told."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.paths: list[str] = []
        self.tokens: list[str | None] = []

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.paths.append(request.path)
        self.tokens.append(request.headers.get("Authorization"))
        signed = base64.b64encode(rsa_sign(base64.b64decode(json.loads(body)["payload"])))
        send(request, self.body or b'{"keyId":"k","signedBlob":"%s"}' % signed, status=self.status)


@pytest.fixture
def iam() -> Iam:
    return Iam()


@pytest.fixture
def signer(iam: Iam) -> Iterator[Signer]:
    with serving(iam) as base:
        yield Signer(lambda: Wire(lambda: Bearer("wide-token")), ACCOUNT, base)


class LocalKey(Signing):
    signer = None
    signer_email = ACCOUNT

    def sign_bytes(self, message: bytes) -> bytes:
        return rsa_sign(message)


@pytest.mark.parametrize("key", ["blobs/sha256/ab/abcd", "p/with space/ü~+=@"])
def test_an_address_is_the_one_that_googles_library_makes(signer: Signer, iam: Iam, key: str) -> None:
    client = Client(project="acme", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    theirs = client.bucket("acme-updates").blob(key).generate_signed_url(expiration=HOUR, version="v4", credentials=LocalKey())
    at = datetime.strptime(parse_qs(urlsplit(theirs).query)["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    objects = GoogleObjects(Wire(None), "https://storage.googleapis.com", "acme-updates", "gs://acme-updates")
    assert signer.address(objects.address(key), HOUR, at) == theirs
    assert iam.paths == [f"/v1/projects/-/serviceAccounts/{ACCOUNT}:signBlob"]
    assert iam.tokens == ["Bearer wide-token"]


def test_a_signed_address_can_be_fetched(signer: Signer) -> None:
    base = fake_gcs.shared()
    objects = GoogleObjects(Wire(None), base, fake_gcs.new_bucket(base), "gs://b", signer)
    objects.put("a/b", b"bytes", Headers("text/plain", "no-cache"), Absent())
    address = objects.sign("a/b", HOUR)
    assert "X-Goog-Expires=3600&" in address
    assert httpx.get(address).content == b"bytes"


def test_more_than_seven_days_are_refused_without_a_request(signer: Signer, iam: Iam) -> None:
    with pytest.raises(UnsupportedError, match="at most 7 days"):
        signer.address("https://h/b/k", timedelta(days=7, seconds=1), datetime.now(UTC))
    assert iam.paths == []


def test_who_may_not_sign_is_told_the_permission(signer: Signer, iam: Iam) -> None:
    iam.status = 403
    iam.body = b'{"error":{"message":"Permission \'iam.serviceAccounts.signBlob\' denied on resource (or it may not exist)."}}'
    with pytest.raises(DeniedError) as caught:
        signer.address("https://h/b/k", HOUR, datetime.now(UTC))
    assert caught.value.permission == "iam.serviceAccounts.signBlob"


@pytest.mark.parametrize("body", [b"{}", b'{"signedBlob":"?"}', b"<html>", b"[]"])
def test_an_answer_without_a_signature(signer: Signer, iam: Iam, body: bytes) -> None:
    iam.body = body
    with pytest.raises(TransientError):
        signer.address("https://h/b/k", HOUR, datetime.now(UTC))


def test_an_account_that_is_not_there(signer: Signer, iam: Iam) -> None:
    iam.status, iam.body = 404, b'{"error":{"message":"Requested entity was not found."}}'
    with pytest.raises(UnsupportedError, match=rf"{ACCOUNT}: 404 Requested entity was not found"):
        signer.address("https://h/b/k", HOUR, datetime.now(UTC))
