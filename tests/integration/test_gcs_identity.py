"""Opening a bucket: which credentials go where, and which go nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest

from otagate.errors import AccessError
from otagate.store.gcs import DEFAULT_ENDPOINT, open_objects
from otagate.store.objects import Absent, BrokenRequestError, Headers, Objects, UnsupportedError
from otagate.store.url import parse_bucket_url
from support.identities import jwt
from support.metric_server import send, serving
from support.servers import fake_gcs
from support.servers.meddling_proxy import Answer, Proxy, meddling

pytestmark = pytest.mark.integration

NAME = "projects/123/locations/global/workloadIdentityPools/github/providers/acme"
JSON = Headers("application/json", "no-cache")
CI_TOKEN = jwt(f"https://iam.googleapis.com/{NAME}", exp=4_000_000_000)


class Sts:
    """Google's token exchange."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.forms.append(parse_qs(body.decode()))
        answer = {"access_token": "exchanged", "expires_in": 3600, "token_type": "Bearer", "issued_token_type": "x"}
        send(request, json.dumps(answer).encode())


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def environ(sts: Sts) -> Iterator[dict[str, str]]:
    with serving(sts) as base:
        yield {
            "HOME": "/nowhere",
            "OTAGATE_OIDC_TOKEN": CI_TOKEN,
            "GOOGLE_WORKLOAD_IDENTITY_PROVIDER": NAME,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": base,
        }


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with meddling(fake_gcs.shared()) as proxy:
        yield proxy


def opened(proxy: Proxy, environ: dict[str, str], options: str = "") -> Objects:
    bucket = fake_gcs.new_bucket(fake_gcs.shared())
    return open_objects(parse_bucket_url(f"gs://{bucket}?endpoint={proxy.base}{options}"), environ)


def test_the_cis_token_is_exchanged_at_the_first_use_and_once(proxy: Proxy, environ: dict[str, str], sts: Sts) -> None:
    objects = opened(proxy, environ, "&identity=oidc")
    assert sts.forms == []
    objects.put("k", b"1", JSON, Absent())
    assert objects.read("k", 9) is not None
    assert [seen.headers["authorization"] for seen in proxy.seen] == ["Bearer exchanged"] * 2
    (form,) = sts.forms
    assert form["subject_token"] == [CI_TOKEN]
    assert form["scope"] == ["https://www.googleapis.com/auth/devstorage.read_write"]


def test_an_emulator_gets_no_credentials(proxy: Proxy, environ: dict[str, str], sts: Sts) -> None:
    objects = opened(proxy, environ)
    objects.put("k", b"1", JSON, Absent())
    assert ["authorization" in seen.headers for seen in proxy.seen] == [False]
    assert sts.forms == []


def test_without_an_account_nothing_is_signed(proxy: Proxy, environ: dict[str, str], sts: Sts) -> None:
    with pytest.raises(UnsupportedError, match="service_account="):
        opened(proxy, environ, "&identity=oidc").sign("k", timedelta(hours=1))
    assert sts.forms == []


@pytest.mark.parametrize("options", ["&service_account=ota@acme.iam.gserviceaccount.com", ""])
def test_with_an_account_addresses_are_signed(proxy: Proxy, environ: dict[str, str], sts: Sts, options: str) -> None:
    if not options:
        environ["GOOGLE_SERVICE_ACCOUNT"] = "ota@acme.iam.gserviceaccount.com"
    objects = opened(proxy, environ, f"&identity=oidc{options}")
    # More than Google signs: that is said before anything is asked, and only by who can sign.
    with pytest.raises(UnsupportedError, match="7 days"):
        objects.sign("k", timedelta(days=8))
    assert sts.forms == []


def test_nobody_is_a_refusal(tmp_path: object) -> None:
    with pytest.raises(AccessError):
        open_objects(parse_bucket_url("gs://acme-updates"), {"HOME": str(tmp_path)})


def test_google_itself_is_the_usual_place(environ: dict[str, str], sts: Sts) -> None:
    objects = open_objects(parse_bucket_url("gs://acme-updates/prefix"), {**environ, "STORAGE_EMULATOR_HOST": "127.0.0.1:9"})
    assert objects.where == "gs://acme-updates/prefix"
    assert objects.address("prefix/k") == "https://storage.googleapis.com/acme-updates/prefix/k"
    assert DEFAULT_ENDPOINT == "https://storage.googleapis.com"
    assert sts.forms == []


def test_another_place_is_told(environ: dict[str, str]) -> None:
    objects = open_objects(parse_bucket_url("gs://acme-updates/prefix?endpoint=https://storage-x.p.googleapis.com"), environ)
    assert objects.where == "gs://acme-updates at https://storage-x.p.googleapis.com"


def test_an_address_of_an_upload_elsewhere_gets_no_token(proxy: Proxy, environ: dict[str, str]) -> None:
    objects = opened(proxy, environ, "&identity=oidc")
    for place in (
        "http://127.0.0.1:9/upload?upload_id=x",
        f"{proxy.base}.example/",
        "",
        "https://evil.example/.googleapis.com/",
    ):
        proxy.meddle = lambda _method, _path, place=place: Answer(200, b"", {"Location": place})  # type: ignore[misc]
        with pytest.raises(BrokenRequestError, match="elsewhere"):
            objects.upload("k", [bytes(9_000_000)], 9_000_000, JSON, lambda _done, _total: None)
    assert {seen.method for seen in proxy.seen} == {"POST"}
