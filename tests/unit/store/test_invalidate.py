"""What each CDN is told, and what comes of its answers; at the wire but without a socket."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate._bucket_url import BucketUrl, parse_bucket_url
from otagate.errors import AccessError, NotFoundError, OtagateError, UnavailableError, UsageError
from otagate.identity.interface import AwsKeys, AzureAccountKey, AzureCredential, Bearer, Identity, Kind, Link
from otagate.policy.model.stores import CdnSpec
from otagate.store.invalidate import registry
from otagate.store.invalidate._post import Wire
from otagate.store.invalidate.cloud_cdn import CloudCdn
from otagate.store.invalidate.cloudfront import CloudFront
from otagate.store.invalidate.front_door import FrontDoor
from otagate.store.invalidate.interface import Invalidator
from otagate.store.invalidate.registry import open_invalidators
from otagate.store.invalidate.webhook import Webhook

SECRET = "c0rrect-h0rse-battery-staple-0123456789"
HOOK = f"https://hooks.test/{SECRET}"
RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Cdn/profiles/p/afdEndpoints/front"
URL_MAP = "projects/acme/global/urlMaps/updates"
PATHS = ["/app/apps/com.acme/channels/beta.json", "/app/blobs/sha256/ab/a%2Bb"]
LINK = Link(Kind.OIDC, found=True, detail="GitHub Actions, as a role")


def identity(credential: Any) -> Identity[Any]:
    return Identity((LINK,), LINK, lambda: credential)


class Service:
    """Answers with one response after the other, the last one again and again, and keeps what it was asked."""

    def __init__(self) -> None:
        self.at = 0.0
        self.answers: list[httpx.Response | Exception] = [httpx.Response(200)]
        self.requests: list[httpx.Request] = []

    def will(self, *answers: httpx.Response | Exception) -> Service:
        self.answers = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    @property
    def wire(self) -> Wire:
        return Wire(self.sleep, lambda: self.at, lambda: 1.0, httpx.MockTransport(self))

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


@pytest.fixture
def service() -> Service:
    return Service()


def cloudfront(service: Service, environ: dict[str, str] | None = None) -> Invalidator:
    keys = AwsKeys("AKIDEXAMPLE", SECRET[::-1], SECRET)
    return CloudFront("E2EXAMPLE", lambda: identity(keys), environ or {}, service.wire)


def cloud_cdn(service: Service, environ: dict[str, str] | None = None) -> Invalidator:
    return CloudCdn(URL_MAP, lambda: identity(Bearer(SECRET)), environ or {}, service.wire)


def front_door(service: Service, environ: dict[str, str] | None = None) -> Invalidator:
    return FrontDoor(RESOURCE, lambda: identity(Bearer(SECRET)), environ or {}, service.wire)


def webhook(service: Service, environ: dict[str, str] | None = None) -> Invalidator:
    return Webhook("env:HOOK", environ or {"HOOK": HOOK + "\n"}, Path(), "https://cdn.test", service.wire)


Make = Callable[[Service], Invalidator]
ALL = pytest.mark.parametrize("make", [cloudfront, cloud_cdn, front_door, webhook])


def test_cloudfront(service: Service) -> None:
    service.will(httpx.Response(201, text="<Invalidation><Id>I2J0I21PCUYOIK</Id><Status>InProgress</Status></Invalidation>"))
    cdn = cloudfront(service)
    assert cdn.invalidate([*PATHS, "/a&b"]) == "I2J0I21PCUYOIK"
    (request,) = service.requests
    assert str(request.url) == "https://cloudfront.amazonaws.com/2020-05-31/distribution/E2EXAMPLE/invalidation"
    assert request.headers["X-Amz-Security-Token"] == SECRET
    authorization = request.headers["Authorization"]
    assert re.match(r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/us-east-1/cloudfront/aws4_request, ", authorization)
    body = request.content.decode()
    assert "<Quantity>3</Quantity>" in body
    assert re.findall("<Path>(.*?)</Path>", body) == [*PATHS, "/a&amp;b"]
    assert re.search("<CallerReference>otagate-[0-9a-f]{32}</CallerReference>", body)
    assert cdn.links() == (LINK,)


def test_a_lost_answer_does_not_make_two_invalidations(service: Service) -> None:
    service.will(httpx.ReadError("reset"), httpx.Response(201, text="<Id>A</Id>"))
    cloudfront(service).invalidate(PATHS)
    references = {re.findall(rb"<CallerReference>(.*)</CallerReference>", request.content)[0] for request in service.requests}
    assert len(service.requests) == 2
    assert len(references) == 1
    service.requests.clear()
    service.will(httpx.Response(201, text="no id"))
    assert cloudfront(service).invalidate(["/x"]) == ""
    assert re.findall(rb"<CallerReference>(.*)</CallerReference>", service.requests[0].content)[0] not in references


def test_cloudfront_takes_many_paths_in_turns(service: Service) -> None:
    service.will(httpx.Response(201, text="<Id>A</Id>"), httpx.Response(201, text="<Id>B</Id>"))
    assert cloudfront(service).invalidate([f"/{number}" for number in range(1500)]) == "A, B"
    assert [request.content.count(b"<Path>") for request in service.requests] == [1000, 500]


def test_cloudfront_needs_its_library(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(UsageError, match=r"otagate\[s3\]"):
        cloudfront(service).invalidate(PATHS)


def test_cloud_cdn(service: Service) -> None:
    service.will(httpx.ReadError("x"), httpx.Response(200, json={"name": "operation-1"}), httpx.Response(200, text="[]"))
    cdn = cloud_cdn(service)
    assert cdn.invalidate(PATHS) == "operation-1, "
    base = f"https://compute.googleapis.com/compute/v1/{URL_MAP}/invalidateCache"
    assert [str(request.url.copy_with(query=None)) for request in service.requests] == [base] * 3
    first, again, second = [request.url.params["requestId"] for request in service.requests]
    assert first == again != second
    assert service.bodies == [{"path": PATHS[0]}, {"path": PATHS[0]}, {"path": PATHS[1]}]
    assert service.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert cdn.links() == (LINK,)


def test_cloud_cdn_takes_one_path_a_minute(service: Service) -> None:
    busy = httpx.Response(403, json={"error": {"code": 403, "message": "slow", "errors": [{"reason": "rateLimitExceeded"}, 1]}})
    service.will(busy, busy, httpx.Response(200, json={"name": "op"}))
    assert cloud_cdn(service).invalidate(["/x"]) == "op"


def test_front_door(service: Service) -> None:
    location = f"https://management.azure.com/operation?s={SECRET}"
    service.will(httpx.Response(202, headers={"x-ms-request-id": "r1", "Location": location}))
    cdn = front_door(service)
    assert cdn.invalidate(PATHS) == "r1"
    (request,) = service.requests
    assert str(request.url) == f"https://management.azure.com{RESOURCE}/purge?api-version=2024-02-01"
    assert service.bodies == [{"contentPaths": PATHS}]
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert cdn.links() == (LINK,)
    assert cdn.where == "Azure Front Door endpoint front"
    assert cdn.invalidate([f"/{number}" for number in range(101)]) == "r1, r1"


def test_front_door_needs_a_token(service: Service) -> None:
    cdn = FrontDoor(RESOURCE, lambda: identity(AzureAccountKey(SECRET)), {}, service.wire)
    with pytest.raises(AccessError, match="cannot tell Azure Front Door") as caught:
        cdn.invalidate(PATHS)
    assert SECRET not in str(caught.value)


def test_webhook(service: Service) -> None:
    cdn = webhook(service)
    key = cdn.invalidate(PATHS)
    (request,) = service.requests
    assert str(request.url) == HOOK
    assert request.headers["Idempotency-Key"] == key
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert request.headers["Content-Type"] == "application/json"
    urls = [f"https://cdn.test{path}" for path in PATHS]
    assert service.bodies == [{"event": "otagate.invalidate", "paths": PATHS, "urls": urls}]
    assert cdn.links() == ()


def test_webhook_without_a_public_address(service: Service) -> None:
    Webhook("env:HOOK", {"HOOK": "http://127.0.0.1:8080/x"}, Path(), "", service.wire).invalidate(["/x"])
    assert service.bodies[0]["urls"] == []


def test_webhook_keeps_its_key_when_it_tries_again(service: Service) -> None:
    service.will(httpx.Response(500), httpx.Response(204))
    webhook(service).invalidate(PATHS)
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1


def test_webhook_from_a_file(service: Service, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(HOOK + "\n", "utf-8")
    Webhook("file:hook", {}, tmp_path, "", service.wire).invalidate(["/x"])
    assert str(service.requests[0].url) == HOOK
    with pytest.raises(UsageError, match="cannot be read"):
        Webhook("file:none", {}, tmp_path, "", service.wire).invalidate(["/x"])


@pytest.mark.parametrize(
    "value",
    ["", f"http://hooks.test/{SECRET}", f"{HOOK} {HOOK}", f"https://u:p@hooks.test/{SECRET}", HOOK + "x" * 5000, "file:/x"],
)
def test_webhook_addresses_that_are_refused_are_not_shown(service: Service, value: str) -> None:
    with pytest.raises(UsageError, match="cannot be used") as caught:
        webhook(service, {"HOOK": value}).invalidate(PATHS)
    assert SECRET not in str(caught.value)
    assert service.requests == []


def test_webhook_reference_that_is_none(service: Service) -> None:
    with pytest.raises(UsageError, match="no reference") as caught:
        Webhook(HOOK, {}, Path(), "", service.wire).invalidate(PATHS)
    assert SECRET not in str(caught.value)


@ALL
@pytest.mark.parametrize("path", ["/app/*", "app/x", "/x?y", "/x#y", "/ü", "/a\nb", ""])
def test_only_exact_paths(service: Service, make: Make, path: str) -> None:
    with pytest.raises(UsageError, match="only exact paths"):
        make(service).invalidate([path])
    assert service.requests == []


@pytest.mark.parametrize(
    ("make", "permission"),
    [
        (cloudfront, "cloudfront:CreateInvalidation"),
        (cloud_cdn, "compute.urlMaps.invalidateCache"),
        (front_door, "Microsoft.Cdn/profiles/afdEndpoints/purge/action"),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_permission_is_named(service: Service, make: Make, permission: str, status: int) -> None:
    text = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: a is not authorized</Message></Error></ErrorResponse>"
    with pytest.raises(AccessError, match=re.escape(permission)) as caught:
        make(service.will(httpx.Response(status, text=text))).invalidate(PATHS)
    assert caught.value.found == f"HTTP {status}: AccessDenied: User: a is not authorized"
    assert len(service.requests) == 1


@ALL
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, text=SECRET), AccessError),
        (httpx.Response(404, text=SECRET), NotFoundError),
        (httpx.Response(400, text=SECRET), UsageError),
        (httpx.Response(302, headers={"Location": f"https://x.test/{SECRET}"}), UsageError),
        (httpx.Response(503, text=SECRET), UnavailableError),
        (httpx.Response(429, headers={"Retry-After": "900"}), UnavailableError),
        (httpx.ConnectError(f"no way to {HOOK}"), UnavailableError),
        (
            httpx.Response(403, text=f"<Code>Signature</Code><Message>Should be x-amz-security-token:{SECRET}\n</Message>"),
            AccessError,
        ),
        (httpx.Response(400, json={"error": {"code": "X", "message": f"Bearer {SECRET}"}}), UsageError),
    ],
)
def test_failures_hold_no_secret(service: Service, make: Make, answer: Any, error: type[OtagateError]) -> None:
    cdn = make(service.will(answer))
    with pytest.raises(error) as caught:
        cdn.invalidate(PATHS)
    assert SECRET not in f"{caught.value}{cdn.where}{cdn!r}"
    assert caught.value.subject == cdn.where
    assert service.at < 150


def test_a_retry_after_past_the_end_is_not_waited_for(service: Service) -> None:
    with pytest.raises(UnavailableError, match="HTTP 429"):
        cloudfront(service.will(httpx.Response(429, headers={"Retry-After": "900"}))).invalidate(PATHS)
    assert (service.at, len(service.requests)) == (0.0, 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"error": {"code": "BadRequest", "message": "no\\u001b[31m"}}', r"HTTP 400: BadRequest: no\x1b[31m"),
        ('{"error": {"status": "INVALID", "code": 400, "errors": 3}}', "HTTP 400: INVALID: 400"),
        ('{"error": "no"}', "HTTP 400"),
        ("[1]", "HTTP 400"),
        ("[" * 60_000, "HTTP 400"),
        ("x" * 200_000, "HTTP 400"),
    ],
)
def test_any_text_of_a_service(service: Service, text: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        cloud_cdn(service.will(httpx.Response(400, text=text))).invalidate(["/x"])
    assert caught.value.found == found


def test_an_answer_that_drips_is_left(service: Service) -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            while True:
                service.at += 10
                yield b"x"

    wire = Wire(
        service.sleep, lambda: service.at, lambda: 1.0, httpx.MockTransport(lambda _: httpx.Response(200, stream=Drip()))
    )
    assert CloudCdn(URL_MAP, lambda: identity(Bearer(SECRET)), {}, wire).invalidate(["/x"]) == ""
    assert service.at == 40


def test_cloudfront_that_is_busy(service: Service) -> None:
    busy = httpx.Response(400, text="<Code>TooManyInvalidationsInProgress</Code><Message>wait</Message>")
    assert cloudfront(service.will(busy, httpx.Response(201, text="<Id>A</Id>"))).invalidate(PATHS) == "A"


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (cloudfront, "AWS_ENDPOINT_URL_CLOUDFRONT", "http://evil.test"),
        (cloudfront, "AWS_ENDPOINT_URL_CLOUDFRONT", "ftp://127.0.0.1"),
        (cloud_cdn, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "https://evil.test"),
        (front_door, "OTAGATE_AZURE_MANAGEMENT_URL", "https://evil.test"),
    ],
)
def test_credentials_do_not_go_elsewhere(service: Service, make: Any, name: str, value: str) -> None:
    with pytest.raises(UsageError, match="credentials are not sent"):
        make(service, {name: value})


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (cloudfront, "AWS_ENDPOINT_URL_CLOUDFRONT", "http://127.0.0.1:5000/"),
        (cloudfront, "AWS_ENDPOINT_URL_CLOUDFRONT", "https://cloudfront.cn-northwest-1.amazonaws.com.cn"),
        (cloud_cdn, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://localhost:5000/compute/v1/"),
        (front_door, "OTAGATE_AZURE_MANAGEMENT_URL", "http://[::1]:5000"),
    ],
)
def test_endpoints_can_be_replaced(service: Service, make: Any, name: str, value: str) -> None:
    make(service, {name: value}).invalidate(["/x"])
    assert str(service.requests[0].url).startswith(value.rstrip("/") + "/")


def test_an_address_that_is_none(service: Service) -> None:
    with pytest.raises(UsageError, match="is not one"):
        webhook(service, {"HOOK": f"https://a:port/{SECRET}"}).invalidate(["/x"])


def test_what_a_policy_names_is_opened_with_the_stores_identity(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def aws(*args: Any) -> Identity[AwsKeys]:
        asked.append(args)
        return identity(AwsKeys("a", "b", None, datetime(2027, 1, 1, tzinfo=UTC)))

    def google(*args: Any) -> Identity[Bearer]:
        asked.append(args)
        return identity(Bearer("t"))

    def azure(*args: Any) -> Identity[AzureCredential]:
        asked.append(args)
        return identity(Bearer("t"))

    monkeypatch.setattr("otagate.identity.aws.aws_identity", aws)
    monkeypatch.setattr("otagate.identity.google.google_identity", google)
    monkeypatch.setattr("otagate.identity.azure.azure_identity", azure)
    environ = {"HOOK": HOOK}
    spec = CdnSpec(cloudfront="E2", cloud_cdn=URL_MAP, front_door=RESOURCE, webhook="env:HOOK")
    role = "arn:aws:iam::123456789012:role/ota"
    bucket = parse_bucket_url(f"s3://acme-updates/p?role={role}&profile=x&identity=oidc&public=https://cdn.test/app")
    opened = open_invalidators(spec, environ, Path(), bucket=bucket, wire=service.wire)
    assert asked == []
    assert [type(cdn).__name__ for cdn in opened] == ["CloudFront", "CloudCdn", "FrontDoor", "Webhook"]
    for cdn in opened:
        cdn.invalidate(["/app/x"])
        cdn.links()
    assert asked == [
        (role, "x", Kind.OIDC, environ),
        (None, None, None, environ, ("https://www.googleapis.com/auth/cloud-platform",)),
        (None, None, None, environ, "https://management.azure.com/.default"),
    ]
    assert json.loads(service.requests[-1].content)["urls"] == ["https://cdn.test/app/x"]


def test_a_policy_that_names_none() -> None:
    assert open_invalidators(CdnSpec(pointers=True), {}, Path()) == ()
    assert registry._origin(None) == ""
    assert registry._origin(BucketUrl("s3", "bucket")) == ""
