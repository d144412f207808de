"""``otagate doctor`` and the first write on real servers: good ones pass, and one that ignores conditions is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UsageError
from otagate.flow.doctor.patient import Patient, Place
from otagate.flow.doctor.signed import check_signed
from otagate.flow.doctor.stores import check_stores
from otagate.model import Digest
from otagate.policy.load import load_policy
from otagate.store.cloud import cloud_store
from otagate.store.guarded import MARKER
from otagate.store.registry import open_store, open_untried
from support import buckets
from support.buckets import Bucket
from support.buckets_memory import MemoryObjects
from support.metric_server import send, serving
from support.servers.stripping_proxy import stripping
from support.shop import Said, Shop, open_shop

pytestmark = pytest.mark.integration
PLACE = Place("storage", "s3://bucket", has_blobs=True, has_documents=True)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path / "app", published=False)


def stored_in(shop: Shop, bucket: Bucket, *, more: str = "") -> None:
    shop.edit("otagate.yml", "storage: file:.otagate/store", f'storage: "{bucket.url}"{more}')


def doctor(shop: Shop, bucket: Bucket, *argv: str) -> Said:
    return shop.run("doctor", *argv, **bucket.environ)


def problems(said: Said) -> dict[str, str]:
    found: dict[str, Any] = json.loads(said.out)
    return {problem["code"]: problem["what"] for check in found["checks"] for problem in check["problems"]}


def checks(said: Said) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(said.out)["checks"]}


@pytest.mark.parametrize("name", sorted(buckets.ADAPTERS))
def test_a_good_bucket_is_tried_and_left_as_it_was(name: str, shop: Shop) -> None:
    bucket = buckets.ADAPTERS[name]()
    stored_in(shop, bucket)
    said = doctor(shop, bucket, "--json")
    assert (said.code, {code for code in problems(said) if code.startswith(("store.", "public.", "clock."))}) == (0, set())
    found = checks(said)
    assert found["storage: documents"]["detail"].endswith("read, list, create, replace, delete")
    assert found["storage: blobs"]["detail"].endswith("look, put, read, delete")
    assert found["storage: second writer"]["status"] == "ok"
    assert found["storage: clock"]["status"] in {"ok", "not checked"}
    # A bucket that asks for no identity has nobody to sign as.
    assert found["storage: signed address"]["status"] == ("ok" if bucket.environ else "not checked")
    secrets = [value for key, value in bucket.environ.items() if key in {"AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"}]
    texts = [said.out, said.err, *vars(doctor(shop, bucket)).values()]
    assert not [value for value in secrets for text in texts if value in str(text)]
    assert list(bucket.open().list(bucket.prefix)) == []


def test_read_only_writes_nothing_at_all(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    stored_in(shop, bucket)
    with stripping(bucket.url.partition("endpoint=")[2].partition("&")[0], frozenset()) as base:
        watched = bucket.url.replace(bucket.url.partition("endpoint=")[2].partition("&")[0], base)
        shop.edit("otagate.yml", bucket.url, watched)
        said = doctor(shop, bucket, "--read-only", "--json")
    assert said.code == 0
    assert checks(said)["storage: second writer"]["status"] == "not checked"
    assert checks(said)["storage: documents"]["detail"].endswith(": read, list")
    assert list(bucket.open().list(bucket.prefix)) == []


@pytest.mark.parametrize("name", ["s3 on moto"])
def test_a_service_that_ignores_conditions_is_refused(name: str, shop: Shop) -> None:
    bucket = buckets.ADAPTERS[name]()
    base = bucket.url.partition("endpoint=")[2].partition("&")[0]
    with stripping(base) as proxy:
        careless = Bucket(bucket.url.replace(base, proxy), bucket.environ, bucket.prefix)
        stored_in(shop, careless)
        said = doctor(shop, careless, "--json")
        assert (said.code, "store.no-conditional-writes" in problems(said)) == (2, True)
        second = checks(said)["storage: second writer"]
        assert {problem["what"].partition(":")[0] for problem in second["problems"]} >= {"second-create", "stale-swap"}
        assert "documents: URL" in second["problems"][0]["fix"]

        published = shop.run("upload", **careless.environ)
        assert (published.code, "does not refuse a second writer" in published.err) == (2, True)

        documents = open_store(careless.url, careless.environ).documents
        with pytest.raises(UsageError, match="does not refuse a second writer"):
            documents.create("apps/com.example.shop/channels/live.json", b"{}")
        assert open_untried(careless.url, careless.environ).documents.read(MARKER) is None
    left = [head.key.removeprefix(bucket.prefix) for head in bucket.open().list(bucket.prefix)]
    assert not [key for key in left if key.startswith(("apps/", "probe/"))]


def test_pointers_can_be_kept_elsewhere(shop: Shop, tmp_path: Path) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    base = bucket.url.partition("endpoint=")[2].partition("&")[0]
    with stripping(base) as proxy:
        careless = Bucket(bucket.url.replace(base, proxy), bucket.environ, bucket.prefix)
        stored_in(shop, careless, more=f"\ndocuments: file:{tmp_path / 'documents'}")
        assert "store.no-conditional-writes" not in problems(doctor(shop, careless, "--json"))
        assert shop.run("upload", **careless.environ).code == 0
        assert shop.run("promote", "--channel", "live", "--release", "1.0.0", **careless.environ).code == 0


def test_the_first_write_leaves_a_marker_and_the_second_process_asks_only_for_it(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    stored_in(shop, bucket)
    assert shop.run("upload", **bucket.environ).code == 0
    first = open_untried(bucket.url, bucket.environ).documents.read(MARKER)
    assert first is not None
    assert json.loads(first.body)["schema"] == "otagate/store/v1"
    assert shop.run("promote", "--channel", "live", "--release", "1.0.0", **bucket.environ).code == 0
    second = open_untried(bucket.url, bucket.environ).documents.read(MARKER)
    assert second is not None
    assert second.body == first.body


# --- init ---------------------------------------------------------------------------------------------------------------------


def init(shop: Shop, bucket: Bucket, *, environ: Mapping[str, str] | None = None) -> Said:
    shop.path("otagate.yml").unlink()
    shop.path("capacitor.config.json").write_text('{"appId": "com.example.shop", "webDir": "dist"}')
    return shop.run("init", "--storage", bucket.url, "--format", "json", **(bucket.environ if environ is None else environ))


@pytest.mark.parametrize("name", sorted(buckets.ADAPTERS))
def test_init_tries_a_bucket_and_its_first_write_asks_no_more(name: str, shop: Shop) -> None:
    bucket = buckets.ADAPTERS[name]()
    said = init(shop, bucket)
    assert (said.code, json.loads(said.out)["tried"]) == (0, "the store was tried: it refuses a second writer")
    assert [head.key.removeprefix(bucket.prefix) for head in bucket.open().list(bucket.prefix)] == [MARKER]


def test_init_writes_no_policy_for_a_service_that_ignores_conditions(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    base = bucket.url.partition("endpoint=")[2].partition("&")[0]
    with stripping(base) as proxy:
        said = init(shop, Bucket(bucket.url.replace(base, proxy), bucket.environ, bucket.prefix))
    assert (said.code, "does not refuse a second writer" in said.err) == (2, True)
    assert not shop.path("otagate.yml").exists()


def test_init_without_credentials_or_without_a_network_says_who_tries_it_later(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    said = init(shop, bucket, environ={})
    assert (said.code, "there are no credentials here" in json.loads(said.out)["tried"]) == (0, True)
    base = bucket.url.partition("endpoint=")[2].partition("&")[0]
    with serving(lambda request, _: send(request, b"")) as gone:
        pass
    said = init(shop, Bucket(bucket.url.replace(base, gone), bucket.environ, bucket.prefix))
    assert (said.code, "does not answer here" in json.loads(said.out)["tried"]) == (0, True)


def test_init_for_a_bucket_that_is_not_there_yet_says_so(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    said = init(shop, Bucket(bucket.url.replace("acme-updates", "acme-later"), bucket.environ, bucket.prefix))
    assert (said.code, "was not tried" in json.loads(said.out)["tried"]) == (0, True)


# --- identity -----------------------------------------------------------------------------------------------------------------

REFUSAL = b"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code>
<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"""


def test_a_role_that_may_not_be_taken_is_said_before_the_store_is_asked(shop: Shop, tmp_path: Path) -> None:
    claims = {"iss": "https://ci.example.com", "sub": "repo:acme/app", "aud": "sts.amazonaws.com", "exp": 4102444800}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)]
    token = ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJlLXN3ZXB0"])
    (tmp_path / "token").write_text(token)
    with serving(lambda request, _: send(request, REFUSAL, status=403, Content_Type="text/xml")) as sts:
        shop.edit("otagate.yml", "storage: file:.otagate/store", 'storage: "s3://acme-updates?region=eu-west-1&identity=pod"')
        said = shop.run(
            "doctor",
            "--json",
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/ota",
            AWS_ENDPOINT_URL_STS=sts,
            AWS_EC2_METADATA_DISABLED="true",
        )
    assert (said.code, "identity.refused" in problems(said)) == (2, True)
    assert "sts:AssumeRoleWithWebIdentity" in problems(said)["identity.refused"]
    stores = next(check for check in json.loads(said.out)["checks"] if check["group"] == "stores")
    assert (stores["status"], stores["detail"]) == ("not checked", "there are no credentials for it")
    assert token.rpartition(".")[2] not in said.out + said.err


# --- the public address and the clock -------------------------------------------------------------------------------------------


def publicly(shop: Shop, bucket: Bucket, public: str, more: str = "") -> Bucket:
    made = Bucket(f"{bucket.url}&public={public}", bucket.environ, bucket.prefix)
    stored_in(shop, made, more=more)
    return made


def test_what_the_public_gets_is_compared(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    objects = bucket.open()

    def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
        found = objects.read(f"{bucket.prefix}{request.path[1:]}", 1000)
        body, headers = found[0] if found else b"", "public, max-age=31536000, immutable"
        send(request, body, status=200 if found else 404, Content_Type="application/zip", Cache_Control=headers)

    with serving(respond) as base:
        said = doctor(shop, publicly(shop, bucket, base), "--json")
    assert (said.code, problems(said).keys() & {"public.unreachable", "public.wrong-bytes"}) == (0, set())
    assert "the bytes that were stored" in checks(said)["storage: public address"]["detail"]


def test_a_cdn_that_changes_bytes_is_found(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    with serving(lambda request, _: send(request, b"<html>hello</html>", Cache_Control="no-store")) as base:
        said = doctor(shop, publicly(shop, bucket, base), "--json")
    assert (said.code, {"public.wrong-bytes", "public.headers"} <= set(problems(said))) == (3, True)
    assert list(bucket.open().list(bucket.prefix)) == []


def test_a_cdn_that_refuses_is_found(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    with serving(lambda request, _: send(request, b"", status=403)) as base:
        said = doctor(shop, publicly(shop, bucket, base), "--json")
    assert (said.code, "public.unreachable" in problems(said)) == (7, True)


def test_a_cdn_with_an_old_pointer_is_found(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    stored_in(shop, bucket)
    for argv in (("upload",), ("promote", "--channel", "live", "--release", "1.0.0")):
        assert shop.run(*argv, **bucket.environ).code == 0
    shop.edit("otagate.yml", f'storage: "{bucket.url}"', "storage: file:.otagate/store")
    with serving(lambda request, _: send(request, b"{}", Cache_Control="max-age=86400")) as base:
        said = doctor(shop, publicly(shop, bucket, base, "\ncdn: {pointers: true}"), "--json")
    pointer = checks(said)["channel live"]
    assert {problem["code"] for problem in pointer["problems"]} == {"public.old-pointer", "public.headers"}


@pytest.mark.parametrize(
    ("apart", "severity"), [(timedelta(0), None), (timedelta(minutes=5), "warning"), (timedelta(minutes=-20), "error")]
)
def test_clocks_that_are_apart_are_found(apart: timedelta, severity: str | None, shop: Shop) -> None:
    class Off:
        def now(self) -> datetime:
            return datetime.now(UTC) + apart

        def sleep(self, seconds: float) -> None:
            raise NotImplementedError

    bucket = buckets.ADAPTERS["s3 on moto"]()
    stored_in(shop, bucket)
    policy = load_policy(shop.path("otagate.yml"))
    patient = Patient(None, shop.folder, bucket.environ, Off(), read_only=True, policy=policy)
    clock = next(check for check in check_stores(patient) if check.name == "storage: clock")
    assert [found.severity.value for found in clock.troubles] == ([severity] if severity else [])
    assert clock.is_made


def test_a_bucket_that_is_not_there_is_named(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    missing = Bucket(bucket.url.replace("acme-updates", "acme-elsewhere"), bucket.environ, bucket.prefix)
    stored_in(shop, missing)
    said = doctor(shop, missing, "--json")
    assert (said.code, "store.missing" in problems(said)) == (2, True)
    assert checks(said)["pointers"]["status"] == "not checked"
    assert checks(said)["ledger"]["detail"] == "the store cannot be used; see above"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((b"the bytes", 200), None),
        ((b"the bytes and more", 200), "other bytes"),
        ((b"", 200), "other bytes"),
        ((b"<Error/>", 403), "HTTP 403"),
    ],
)
def test_a_signed_address_that_gives_something_else_is_found(answer: tuple[bytes, int], words: str | None) -> None:
    body = b"the bytes"
    objects = MemoryObjects()
    store = cloud_store("s3://b", objects, "")
    with serving(lambda request, _: send(request, answer[0], status=answer[1])) as base:
        objects.signed = base
        [check] = check_signed(PLACE, store, Digest.of(body), body)
    assert [trouble.code for trouble in check.troubles] == ([] if words is None else ["store.signing"])
    assert words is None or words in check.troubles[0].what
    assert "signature" not in str(check)


def test_a_signed_address_that_nobody_answers_is_found() -> None:
    objects = MemoryObjects()
    objects.signed = "http://127.0.0.1:9"
    [check] = check_signed(PLACE, cloud_store("s3://b", objects, ""), Digest.of(b""), b"")
    assert "ConnectError" in check.troubles[0].what
