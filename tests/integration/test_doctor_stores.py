"""``otagate doctor`` and the first write on real servers: good ones pass, and one that ignores conditions is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UsageError
from otagate.store.guarded import MARKER
from otagate.store.registry import open_store, open_untried
from support import buckets
from support.buckets import Bucket
from support.servers.stripping_proxy import stripping
from support.shop import Said, Shop, open_shop

pytestmark = pytest.mark.integration


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


def test_a_bucket_that_is_not_there_is_named(shop: Shop) -> None:
    bucket = buckets.ADAPTERS["s3 on moto"]()
    missing = Bucket(bucket.url.replace("acme-updates", "acme-elsewhere"), bucket.environ, bucket.prefix)
    stored_in(shop, missing)
    said = doctor(shop, missing, "--json")
    assert (said.code, "store.missing" in problems(said)) == (2, True)
    assert checks(said)["pointers"]["status"] == "not checked"
    assert checks(said)["ledger"]["detail"] == "the store cannot be used; see above"
