"""What devices would get is what is read back, through a real caching proxy that misbehaves on real sockets."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from otagate._bucket_url import BucketUrl
from otagate._retry import Patience
from otagate.errors import AccessError, NotFoundError, UnavailableError, VerificationError
from otagate.identity.interface import AwsKeys, Bearer, Identity, Kind, Link
from otagate.policy.model.stores import CdnSpec
from otagate.store.cdn import Cdn, open_cdn
from otagate.store.invalidate._post import Wire
from otagate.store.invalidate.cloud_cdn import CloudCdn
from otagate.store.invalidate.cloudfront import CloudFront
from otagate.store.invalidate.front_door import FrontDoor
from otagate.store.public import Bounds, PublicReader
from support.metric_server import send, serving
from support.servers.cdn import Edge, Origin, cdn
from support.tls import self_signed

pytestmark = pytest.mark.integration

DATA = hashlib.shake_256(b"a bundle").digest(3_000_000)
BLOB = "blobs/sha256/ab/abcdef"
POINTER = "apps/com.acme/channels/beta.json"
QUICK = Bounds(answer=0.5, window=1.0, slowest=1000, missing=2.0, patience=Patience(total=2.0, first=0.02, longest=0.1))
SECRET = "c0rrect-h0rse-battery-staple-0123456789"
LINK = Link(Kind.OIDC, found=True, detail="GitHub Actions")


@pytest.fixture
def served() -> Iterator[tuple[PublicReader, Edge, Origin]]:
    with cdn() as (base, edge, origin):
        origin.put(BLOB, DATA)
        reader = PublicReader(base, bounds=QUICK)
        yield reader, edge, origin
        reader.close()


Served = tuple[PublicReader, Edge, Origin]


def digest(reader: PublicReader, start: int = 0) -> str:
    hasher = hashlib.sha256()
    with reader.open(BLOB, start) as stream:
        while piece := stream.read(100_000):
            hasher.update(piece)
    return hasher.hexdigest()


GOOD = hashlib.sha256(DATA).hexdigest()


def test_plain(served: Served) -> None:
    reader, edge, origin = served
    assert [digest(reader) for _ in range(3)] == [GOOD] * 3
    assert origin.requests == 1
    assert edge.asked[0]["accept-encoding"] == "identity"
    assert digest(reader, 2_999_000) == hashlib.sha256(DATA[-1000:]).hexdigest()
    assert digest(reader, 3_000_000) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("ranges", [True, False])
def test_streams_that_break_are_continued(served: Served, ranges: bool) -> None:
    reader, edge, _ = served
    edge.ranges, edge.cuts = ranges, [1_000_000, 1_500_000, 2_500_000, 0]
    assert digest(reader) == GOOD
    assert len(edge.asked) == (3 if ranges else 5)
    assert edge.asked[1]["range"] == "bytes=1000000-"
    assert edge.asked[1]["if-range"].startswith('"')


def test_another_object_is_not_spliced(served: Served) -> None:
    reader, edge, origin = served
    edge.cuts = [1_000_000]
    with reader.open(BLOB) as stream:
        stream.read(500_000)
        origin.put(BLOB, b"x" * len(DATA))
        edge.forget([f"/{BLOB}"])
        with pytest.raises(UnavailableError, match="two different objects"):
            stream.read()


def test_a_server_without_ranges(served: Served) -> None:
    reader, edge, _ = served
    edge.ranges = False
    assert digest(reader, 2_000_000) == hashlib.sha256(DATA[2_000_000:]).hexdigest()


def test_a_flipped_bit_is_seen_by_its_digest(served: Served) -> None:
    reader, edge, _ = served
    edge.flips = 1_234_567
    assert digest(reader) != GOOD


def test_compression_is_refused(served: Served) -> None:
    reader, edge, _ = served
    edge.zips = True
    with pytest.raises(VerificationError, match="encoded bytes"):
        digest(reader)
    assert any("compressed" in problem for problem in reader.check_headers(BLOB, is_pointer=False).problems)


def test_a_remembered_404(served: Served) -> None:
    reader, edge, origin = served
    edge.keeps_missing = 60.0
    with pytest.raises(NotFoundError):
        reader.get("blobs/late", 100, within=0)
    origin.put("blobs/late", b"here")
    assert reader.get("blobs/late", 100)[0] == b"here"
    assert "no-cache" not in edge.asked[-2].get("cache-control", "")
    assert edge.asked[-1]["cache-control"] == "no-cache"


def test_a_remembered_404_of_a_cdn_that_obeys_nobody(served: Served) -> None:
    reader, edge, origin = served
    edge.keeps_missing, edge.obeys_no_cache = 1.0, False
    with pytest.raises(NotFoundError, match="HTTP 404"):
        reader.get("blobs/late", 100, within=0)
    origin.put("blobs/late", b"here")
    assert reader.get("blobs/late", 100, within=60)[0] == b"here"
    edge.keeps_missing = 60.0
    before = time.monotonic()
    with pytest.raises(NotFoundError, match="does not give the object") as caught:
        reader.get("blobs/never", 100)
    assert re.fullmatch(r"HTTP 404 \(Age \d+s, X-Cache: Hit from edge\)", caught.value.found or "")
    assert 1 < time.monotonic() - before < 60


def test_busy_servers_are_asked_again(served: Served) -> None:
    reader, edge, _ = served
    edge.busy = [503, 429, 500]
    assert digest(reader) == GOOD


def test_forbidden_stops_at_once(served: Served) -> None:
    reader, edge, _ = served
    edge.busy = [403]
    with pytest.raises(AccessError, match="may not read"):
        digest(reader)
    assert len(edge.asked) == 1


@pytest.mark.parametrize("fault", [{"drips": 0.02}, {"drips_headers": 0.02}, {"stalls": 1000}])
def test_slow_servers_are_left(served: Served, fault: dict[str, Any]) -> None:
    reader, edge, _ = served
    for name, value in fault.items():
        setattr(edge, name, value)
    before = time.monotonic()
    with pytest.raises(UnavailableError):
        digest(reader)
    assert time.monotonic() - before < 100
    edge.drips, edge.drips_headers, edge.stalls = 0.0, 0.0, None
    assert digest(reader) == GOOD


def test_redirects(served: Served) -> None:
    reader, edge, _ = served
    with cdn() as (other, _, origin):
        origin.put("moved", DATA)
        edge.leads = f"{other}/moved"
        assert digest(reader) == GOOD
    edge.leads = "http://10.0.0.1/x"
    with pytest.raises(UnavailableError, match="leads elsewhere"):
        digest(reader)
    edge.leads = "/again"
    with pytest.raises(UnavailableError, match="more than 3 redirects"):
        digest(reader)


def test_a_certificate_that_nobody_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = self_signed(tmp_path)
    with cdn(context) as (base, _, origin):
        origin.put(BLOB, DATA)
        with pytest.raises(UnavailableError, match="devices refuse it, too") as caught:
            digest(PublicReader(base, bounds=QUICK))
        assert "self-signed certificate" in (caught.value.found or "")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        reader = PublicReader(base, bounds=QUICK)
        assert [digest(reader), digest(reader)] == [GOOD, GOOD]
        reader.close()


def test_nobody_there() -> None:
    with cdn() as (base, _, _):
        gone = base
    with pytest.raises(UnavailableError, match="does not answer"):
        digest(PublicReader(gone, bounds=QUICK))


def test_many_threads_share_a_reader(served: Served) -> None:
    reader, _, origin = served
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: digest(reader), range(32))) == {GOOD}
    assert origin.requests <= 8
    assert not [thread for thread in threading.enumerate() if thread.name == "otagate-watch"]


def test_doctor_sees_what_a_device_gets(served: Served) -> None:
    reader, _, origin = served
    origin.put(POINTER, b"{}", "public, max-age=3600")
    first, second = (reader.check_headers(BLOB, is_pointer=False) for _ in range(2))
    assert (first.cache, first.problems) == ("X-Cache: Miss from edge", ())
    assert second.cache == "Age 1s, X-Cache: Hit from edge"
    assert second.cache_control == "public, max-age=31536000, immutable"
    assert "old pointer" in reader.check_headers(POINTER, is_pointer=True).problems[0]


# A CDN that is told


class Hook:
    """Listens at a webhook's address and has the proxy forget what it is told."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.bodies: list[dict[str, Any]] = []

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        assert request.headers["Idempotency-Key"]
        self.bodies.append(json.loads(body))
        self.edge.forget(self.bodies[-1]["paths"])
        send(request, b"{}")


def bucket(base: str) -> BucketUrl:
    return BucketUrl("s3", "acme-updates", "p/", public=base)


def test_an_old_pointer_is_forgotten_and_the_new_one_seen(served: Served) -> None:
    reader, edge, origin = served
    base = reader.url("").rstrip("/")
    edge.keeps_pointers, edge.obeys_no_cache = True, False
    origin.put(POINTER, b"old", "no-cache")
    assert reader.get(POINTER, 100)[0] == b"old"
    origin.put(POINTER, b"new", "no-cache")
    watching = CdnSpec(pointers=True, wait=timedelta(seconds=1.5))
    with pytest.raises(UnavailableError, match="does not give the new pointer yet") as caught:
        open_cdn(watching, bucket(base), {}, Path(), bounds=QUICK).pointer_moved(POINTER, b"new")
    assert re.fullmatch(r"another pointer \(Age \d+s, X-Cache: Hit from edge\)", caught.value.found or "")
    hook = Hook(edge)
    with serving(hook.respond) as address:
        spec = CdnSpec(webhook="env:HOOK", pointers=True, wait=timedelta(seconds=5))
        telling = open_cdn(spec, bucket(base), {"HOOK": f"{address}/{SECRET}"}, Path(), bounds=QUICK)
        (told,) = telling.pointer_moved(POINTER, b"new")
        telling.blobs_gone([BLOB])
    assert SECRET not in told
    assert hook.bodies[0] == {"event": "otagate.invalidate", "paths": [f"/{POINTER}"], "urls": [f"{base}/{POINTER}"]}
    assert reader.get(POINTER, 100)[0] == b"new"
    del origin.objects[f"/{BLOB}"]
    with pytest.raises(NotFoundError):
        reader.get(BLOB, 10, within=0)


def test_cloudfront_gets_what_it_can_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str | None]] = []
    keys = AwsKeys("AKIDEXAMPLE", SECRET[::-1], SECRET)

    def respond(request: BaseHTTPRequestHandler, body: bytes) -> None:
        if not is_signed(request, body, keys):
            send(request, b"<Code>SignatureDoesNotMatch</Code><Message>no</Message>", status=403)
            return
        root = ET.fromstring(body)
        space = {"c": "http://cloudfront.amazonaws.com/doc/2020-05-31/"}
        paths = [item.text for item in root.findall("c:Paths/c:Items/c:Path", space)]
        assert root.findtext("c:Paths/c:Quantity", None, space) == str(len(paths))
        seen.append(paths)
        send(request, b"<Invalidation><Id>I1</Id></Invalidation>", status=201)

    with serving(respond) as base:
        environ = {"AWS_ENDPOINT_URL_CLOUDFRONT": base}
        good = CloudFront("E2EXAMPLE", lambda: Identity((LINK,), LINK, lambda: keys), environ, Wire())
        assert good.invalidate(["/app/x", "/a%2Bb"]) == "I1"
        wrong = AwsKeys("AKIDEXAMPLE", "other", SECRET)
        bad = CloudFront("E2EXAMPLE", lambda: Identity((LINK,), LINK, lambda: wrong), environ, Wire())
        with pytest.raises(AccessError, match="SignatureDoesNotMatch"):
            bad.invalidate(["/x"])
    assert seen == [["/app/x", "/a%2Bb"]]


def is_signed(request: BaseHTTPRequestHandler, body: bytes, keys: AwsKeys) -> bool:
    """Sign what came over the wire anew, at the instant that it names, and compare."""
    given = request.headers["Authorization"]
    names = re.findall(r"SignedHeaders=([a-z0-9;-]+)", given)[0].split(";")
    headers = {name: request.headers[name] for name in names if name not in {"host", "x-amz-date", "x-amz-security-token"}}
    again = AWSRequest("POST", f"http://{request.headers['Host']}{request.path}", headers, body)
    signer = SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token), "cloudfront", "us-east-1")
    again.context["timestamp"] = request.headers["X-Amz-Date"]
    again.headers["X-Amz-Date"] = request.headers["X-Amz-Date"]
    again.headers["X-Amz-Security-Token"] = request.headers["X-Amz-Security-Token"]
    wanted = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return bool(given.endswith(f"Signature={wanted}"))


def test_google_and_azure_get_a_token_and_their_own_body() -> None:
    seen: list[tuple[str, Any]] = []

    def respond(request: BaseHTTPRequestHandler, body: bytes) -> None:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        seen.append((request.path.partition("requestId")[0], json.loads(body)))
        send(request, b'{"name": "operation-1"}', status=202, x_ms_request_id="r1")

    def me() -> Identity[Any]:
        return Identity((LINK,), LINK, lambda: Bearer(SECRET))

    with serving(respond) as base:
        environ = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{base}/compute/v1/", "OTAGATE_AZURE_MANAGEMENT_URL": base}
        told = Cdn(
            CdnSpec(),
            (
                CloudCdn("projects/p/global/urlMaps/m", me, environ, Wire()),
                FrontDoor("/subscriptions/s/x", me, environ, Wire()),
            ),
            "/app",
            None,
        ).blobs_gone(["blobs/x"])
    assert told == ("Cloud CDN projects/p/global/urlMaps/m: operation-1", "Azure Front Door endpoint x: r1")
    assert seen == [
        ("/compute/v1/projects/p/global/urlMaps/m/invalidateCache?", {"path": "/app/blobs/x"}),
        ("/subscriptions/s/x/purge?api-version=2024-02-01", {"contentPaths": ["/app/blobs/x"]}),
    ]
