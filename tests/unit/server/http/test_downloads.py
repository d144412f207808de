from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from otagate.errors import NotFoundError, UnavailableError
from otagate.model import Digest
from otagate.server.http.app import UpdateApp
from otagate.server.http.downloads import CHUNK_BYTES
from otagate.server.http.options import HttpOptions
from support.served import DIGEST, ZIP, Client, Got, World, channel, release, view

PATH = f"/bundles/sha256/{DIGEST.hex}"
TAG = f'"{DIGEST.hex}"'


def serve(world: World | None = None, options: HttpOptions | None = None, **changes: Any) -> Client:
    return Client(UpdateApp((world or World()).parts(**changes), options))


def test_a_bundle_is_given_whole() -> None:
    world = World()
    got = serve(world).get(PATH)
    assert got.status == 200
    assert got.body == ZIP
    assert got.is_complete
    assert got.headers == {
        "cache-control": "public, max-age=31536000, immutable",
        "accept-ranges": "bytes",
        "etag": TAG,
        "content-type": "application/zip",
        "content-length": str(len(ZIP)),
    }


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(ZIP)),
        ("bytes=100-199", 100, 200),
        ("bytes=-7", len(ZIP) - 7, len(ZIP)),
        (f"bytes=0-{10**9}", 0, len(ZIP)),
        (f"bytes={len(ZIP) - 1}-", len(ZIP) - 1, len(ZIP)),
    ],
)
def test_a_download_goes_on_where_it_ended(asked: str, start: int, end: int) -> None:
    got = serve().get(PATH, range=asked)
    assert got.status == 206
    assert got.body == ZIP[start:end]
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/{len(ZIP)}"
    assert got.headers["content-length"] == str(end - start)
    assert got.headers["etag"] == TAG


@pytest.mark.parametrize(
    "headers", [{"range": "bytes=0-1,5-6"}, {"range": "bytes=x"}, {"range": "bytes=5-", "if_range": '"old"'}]
)
def test_what_cannot_go_on_begins_anew(headers: dict[str, str]) -> None:
    got = serve().get(PATH, **headers)
    assert (got.status, got.body) == (200, ZIP)


def test_if_range_with_the_same_bytes_goes_on() -> None:
    assert serve().get(PATH, range="bytes=5-", if_range=TAG).body == ZIP[5:]


def test_a_range_behind_the_end_is_416() -> None:
    got = serve().get(PATH, range=f"bytes={len(ZIP)}-")
    assert got.status == 416
    assert got.headers["content-range"] == f"bytes */{len(ZIP)}"
    assert got.json()["error"] == "range_not_satisfiable"


def test_head_tells_size_and_tag_and_opens_nothing() -> None:
    world = World()
    got = serve(world)("HEAD", PATH, headers={"range": "bytes=0-1"})
    assert isinstance(got, Got)
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", str(len(ZIP)))
    assert world.bundles.opened == []


@pytest.mark.parametrize("tag", [TAG, f"W/{TAG}", "*", f'"x", {TAG}'])
def test_what_the_client_has_is_not_sent_again(tag: str) -> None:
    got = serve().get(PATH, if_none_match=tag)
    assert (got.status, got.body, got.headers["etag"]) == (304, b"", TAG)
    assert "content-length" not in got.headers


@pytest.mark.parametrize("tag", ["", TAG, "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blocked_release_is_gone_whatever_the_client_has(tag: str, method: str) -> None:
    world = World()
    client = serve(world)
    assert client.get(PATH).status == 200
    world.catalog.apps = [view([channel("1.1.0", blocked=["1.2.0"])], [release("1.2.0")])]
    got = client(method, PATH, headers={"if-none-match": tag})
    assert isinstance(got, Got)
    assert got.status == 404
    assert got.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0" * 64,
        DIGEST.hex.upper(),
        DIGEST.hex[:-1],
        DIGEST.hex + "0",
        DIGEST.hex + "/",
        "../" + DIGEST.hex,
        DIGEST.hex + "\n",
        "%2e%2e/" + DIGEST.hex,
        "\u0660" * 64,
    ],
)
def test_what_no_channel_names_is_not_there(name: str) -> None:
    world = World()
    got = serve(world).get(f"/bundles/sha256/{name}")
    assert got.status == 404
    assert world.bundles.opened == []


def test_a_bundle_that_the_store_lost_is_not_there_and_the_operator_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.bundles.bytes_of = {}
    assert serve(world).get(PATH).status == 404
    assert "bundle_missing" in caplog.messages


def test_a_bundle_that_goes_between_two_looks_is_not_there() -> None:
    world = World()
    client = serve(world)

    def gone(digest: Digest, start: int = 0) -> Any:
        raise NotFoundError("no", "blob")

    world.bundles.open = gone  # type: ignore[method-assign]
    assert client.get(PATH).status == 404
    assert client.get(PATH).status == 404  # and no place is lost


def test_a_store_that_is_away_is_503() -> None:
    world = World()
    world.bundles.is_away = True
    got = serve(world).get(PATH)
    assert got.status == 503
    assert int(got.headers["retry-after"]) >= 5


def test_a_store_that_fails_at_opening_holds_no_place() -> None:
    world = World()
    client = serve(world, HttpOptions(downloads=1))

    def away(digest: Digest, start: int = 0) -> Any:
        raise UnavailableError("away", "store")

    world.bundles.open = away  # type: ignore[method-assign]
    assert [client.get(PATH).status for _ in range(3)] == [503, 503, 503]
    assert "otagate_downloads 0.0" in client.get("/metrics", authorization="Bearer good").body.decode()


def test_a_bundle_that_is_shorter_than_told_is_never_sent_as_whole(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.bundles.lies_by = 10
    with caplog.at_level(logging.ERROR):
        got = serve(world).get(PATH)
    assert not got.is_complete
    assert "download_broken" in caplog.messages
    # A thread closes it, a little after the answer broke off.
    for _ in range(2000):
        if world.bundles.opened[0].closed:
            break
        threading.Event().wait(0.005)
    assert world.bundles.opened[0].closed


def test_large_bundles_go_out_piece_by_piece() -> None:
    world = World()
    data = bytes(3 * CHUNK_BYTES + 5)
    world.bundles.bytes_of = {DIGEST: data}
    got = serve(world).get(PATH)
    assert got.body == data
    assert got.pieces == 5  # and an end


def test_a_client_that_goes_away_ends_its_download() -> None:
    world = World()
    world.bundles.bytes_of = {DIGEST: bytes(100 * CHUNK_BYTES)}
    client = serve(world, HttpOptions(downloads=1))
    client.hangs_up_after = 2
    got = client.get(PATH)
    assert not got.is_complete
    assert got.pieces < 10
    client.hangs_up_after = None
    assert client.get(PATH).is_complete  # its place is free again


def test_downloads_at_once_are_bounded() -> None:
    world = World()
    world.bundles.bytes_of = {DIGEST: bytes(20 * CHUNK_BYTES)}
    client = serve(world, HttpOptions(downloads=2))

    async def together() -> list[Got | None]:
        return await asyncio.gather(*(client.ask("GET", PATH) for _ in range(6)))

    found = [got for got in asyncio.run(together()) if got is not None]
    assert sorted(got.status for got in found) == [200, 200, 503, 503, 503, 503]
    assert {len(got.body) for got in found if got.status == 200} == {20 * CHUNK_BYTES}
    refused = next(got for got in found if got.status == 503)
    assert refused.json()["error"] == "overloaded"
    assert 5 <= int(refused.headers["retry-after"]) <= 30


class Elsewhere:
    """Links to another place."""

    def address(self, digest: Digest, base: str) -> str:
        return f"https://cdn.example.com/{digest.hex}?signature=x"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_bucket_s_bundles_are_elsewhere(method: str) -> None:
    client = serve(bundles=None, links=Elsewhere())
    got = client(method, PATH)
    assert isinstance(got, Got)
    assert got.status == 302
    assert got.headers["location"] == f"https://cdn.example.com/{DIGEST.hex}?signature=x"
    assert got.headers["cache-control"] == "no-store"
    assert client.get("/bundles/sha256/" + "0" * 64).status == 404
