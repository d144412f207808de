"""A CDN is told of what moved, and looked at until it shows it; at the wire but without a socket."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate._bucket_url import BucketUrl
from otagate.errors import AccessError, UnavailableError, UsageError, VerificationError
from otagate.policy.model.stores import CdnSpec
from otagate.store.cdn import Cdn, open_cdn
from otagate.store.invalidate.registry import Wire

KEY = "apps/com.acme/channels/beta.json"
OLD, NEW, NEWER = b'{"serial": 1}', b'{"serial": 2}', b'{"serial": 3}'
ENVIRON = {"HOOK": "https://hooks.test/a", "OTHER": "https://other.test/b"}
BUCKET = BucketUrl("s3", "acme-updates", "prefix/", public="https://cdn.test/app")


class World:
    """The CDN's edge and its hooks, and time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0
        self.hooks: list[str] = []
        self.paths: list[Any] = []
        self.shown: list[Any] = [NEW]
        self.looks = 0
        self.hook_status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.hooks.append(request.url.host)
            self.paths += json.loads(request.content)["paths"]
            return httpx.Response(self.hook_status)
        self.looks += 1
        assert str(request.url) == f"https://cdn.test/app/{KEY}"
        assert "Cache-Control" not in request.headers
        shown = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(shown, Exception):
            raise shown
        status, headers, body = shown if isinstance(shown, tuple) else (200, {}, shown)
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    def cdn(self, spec: CdnSpec, bucket: BucketUrl | None = BUCKET) -> Cdn:
        wire = Wire(self.sleep, lambda: self.at, lambda: 1.0, httpx.MockTransport(self))
        return open_cdn(spec, bucket, ENVIRON, Path(), wire=wire)


@pytest.fixture
def world() -> World:
    return World()


HOOKED = CdnSpec(webhook="env:HOOK")
WATCHED = CdnSpec(webhook="env:HOOK", pointers=True, wait=timedelta(seconds=30))


def test_a_pointer_is_forgotten(world: World) -> None:
    (told,) = world.cdn(HOOKED).pointer_moved(KEY, NEW)
    assert told.startswith("webhook env:HOOK: ")
    assert world.paths == [f"/app/{KEY}"]
    assert world.looks == 0


def test_a_pointer_is_looked_for(world: World) -> None:
    world.shown = [OLD, (404, {}, b""), httpx.ConnectError("x"), (503, {"Retry-After": "900"}, b""), NEW]
    world.cdn(WATCHED).pointer_moved(KEY, NEW)
    assert world.looks == 5
    assert 0 < world.at < 10
    assert world.hooks == ["hooks.test"]


def test_without_anybody_to_tell_it_is_looked_for_all_the_same(world: World) -> None:
    assert world.cdn(CdnSpec(pointers=True)).pointer_moved(KEY, NEW) == ()
    assert world.looks == 1


def test_a_newer_pointer_is_fine(world: World) -> None:
    world.shown = [OLD, NEWER]
    world.cdn(WATCHED).pointer_moved(KEY, NEW, lambda body: body > NEW)
    assert world.looks == 2


@pytest.mark.parametrize(
    ("shown", "expected"), [(NEW, True), (OLD, False), (NEWER, True), ((403, {}, b""), False), ((404, {}, b""), False)]
)
def test_one_look_tells_nobody(world: World, shown: Any, expected: bool) -> None:
    world.shown = [shown]
    cdn = world.cdn(WATCHED)
    assert cdn.shows(KEY, NEW, lambda body: body == NEWER) is expected
    assert cdn.shows(KEY, NEW) is (shown == NEW)
    assert (world.hooks, world.looks, world.at) == ([], 2, 0.0)


def test_what_is_not_looked_at_is_not_shown(world: World) -> None:
    assert not world.cdn(HOOKED).shows(KEY, NEW)
    assert world.looks == 0


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (
            (200, {"Age": "120", "X-Cache": "Hit from cloudfront"}, OLD),
            "another pointer (Age 120s, X-Cache: Hit from cloudfront)",
        ),
        (OLD, "another pointer"),
        ((404, {"Age": "9"}, b""), "HTTP 404 (Age 9s)"),
        ((500, {}, b""), "HTTP 500"),
    ],
)
def test_an_old_pointer_that_stays(world: World, shown: Any, found: str) -> None:
    world.shown = [shown]
    with pytest.raises(UnavailableError, match="moved in the store, but the CDN") as caught:
        world.cdn(WATCHED).pointer_moved(KEY, NEW)
    assert caught.value.found == found
    assert caught.value.subject == f"https://cdn.test/app/{KEY}"
    assert caught.value.expected == "the new pointer within 30s"
    assert 20 < world.at <= 30


@pytest.mark.parametrize(
    ("shown", "error"),
    [((403, {}, b""), AccessError), ((200, {"Content-Encoding": "gzip"}, b"x"), VerificationError)],
)
def test_what_does_not_pass_is_said_at_once(world: World, shown: Any, error: type[Exception]) -> None:
    world.shown = [shown]
    with pytest.raises(error, match="the channel is moved in the store, but the public"):
        world.cdn(WATCHED).pointer_moved(KEY, NEW)
    assert world.looks == 1


def test_a_cdn_that_cannot_be_told(world: World) -> None:
    world.hook_status = 403
    with pytest.raises(AccessError, match=r"^the channel is moved in the store, but the CDN could not be told") as caught:
        world.cdn(WATCHED).pointer_moved(KEY, NEW)
    assert caught.value.subject == "webhook env:HOOK"
    assert world.looks == 0


def test_all_are_told_although_one_fails(world: World) -> None:
    class Broken:
        where = "CloudFront distribution E2"

        def links(self) -> tuple[()]:
            return ()

        def invalidate(self, paths: object) -> str:
            raise UnavailableError("the CDN could not be told", self.where, details=("one",))

    good = world.cdn(HOOKED).invalidators[0]
    cdn = Cdn(HOOKED, (Broken(), good, Broken()), "", None)
    with pytest.raises(UnavailableError, match="gone from the store, but") as caught:
        cdn.blobs_gone(["blobs/x"])
    assert world.paths == ["/blobs/x"]
    assert caught.value.details == ("one", "the CDN could not be told: CloudFront distribution E2")


def test_blobs_are_forgotten(world: World) -> None:
    cdn = world.cdn(HOOKED)
    assert cdn.blobs_gone([]) == ()
    assert world.hooks == []
    cdn.blobs_gone(["blobs/sha256/ab/c+d", "blobs/x"])
    assert world.paths == ["/app/blobs/sha256/ab/c%2Bd", "/app/blobs/x"]


@pytest.mark.parametrize(
    ("bucket", "path"),
    [
        (None, "/k"),
        (BucketUrl("gs", "acme"), "/k"),
        (BucketUrl("gs", "acme", "a/b/"), "/a/b/k"),
        (BucketUrl("gs", "acme", "a/b/", public="https://cdn.test"), "/k"),
    ],
)
def test_paths_are_those_behind_the_public_address(world: World, bucket: BucketUrl | None, path: str) -> None:
    world.cdn(HOOKED, bucket).blobs_gone(["k"])
    assert world.paths == [path]


@pytest.mark.parametrize("bucket", [None, BucketUrl("gs", "acme")])
def test_pointers_need_an_address(bucket: BucketUrl | None) -> None:
    with pytest.raises(UsageError, match="which address the CDN serves is not known"):
        open_cdn(WATCHED, bucket, {}, Path())


def test_opening_needs_nothing() -> None:
    assert len(open_cdn(CdnSpec(cloudfront="E2", webhook="env:NONE"), BUCKET, {}, Path()).invalidators) == 2
