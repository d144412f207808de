from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.model import Digest
from otagate.server.http import links as module
from otagate.server.http.links import DirectBundles, LinkMode, PublicLinks, ServerLinks, SignedLinks, choose_links
from otagate.store.memory import MemoryBlobs
from support.served import DIGEST, ZIP, Time, view


class Signing(MemoryBlobs):
    """A store that signs addresses, slowly or not at all, as a test says."""

    def __init__(self) -> None:
        super().__init__("signing")
        self.signed = 0
        self.error: OtagateError | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def url(self, digest: Digest) -> str:
        return f"https://cdn.example.com/{digest.hex}"

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        self.may_answer.wait(10)
        self.signed += 1
        if self.error is not None:
            raise self.error
        return f"https://bucket.example.com/{digest.hex}?signature={self.signed}&seconds={int(lifetime.total_seconds())}"


@contextmanager
def signing(wait_s: float = 5.0) -> Iterator[tuple[SignedLinks, Signing, Time]]:
    time, blobs = Time(), Signing()
    links = SignedLinks(blobs, time, wait_s)
    yield links, blobs, time
    blobs.may_answer.set()
    links.stop()


def settled(links: SignedLinks) -> None:
    for future in list(links._under_way.values()):
        future.result(10)


@pytest.mark.parametrize(
    ("url", "mode", "kind"),
    [
        ("file:/srv/store", LinkMode.AUTO, ServerLinks),
        ("memory:x", LinkMode.AUTO, ServerLinks),
        ("s3://bucket/p?public=https://cdn.example.com", LinkMode.AUTO, PublicLinks),
        ("s3://bucket/p", LinkMode.AUTO, SignedLinks),
        ("gs://bucket", LinkMode.AUTO, SignedLinks),
        ("az://container?account=acme", LinkMode.PUBLIC, PublicLinks),
        ("s3://bucket?public=https://cdn.example.com", LinkMode.SIGNED, SignedLinks),
        ("s3://bucket?public=https://cdn.example.com", LinkMode.OWN, ServerLinks),
    ],
)
def test_the_store_decides_how_devices_fetch(url: str, mode: LinkMode, kind: type) -> None:
    links, bundles = choose_links(url, Signing(), Time(), mode)
    assert type(links) is kind
    assert (bundles is not None) is (kind is ServerLinks)


@pytest.mark.parametrize("mode", [LinkMode.PUBLIC, LinkMode.SIGNED])
def test_a_folder_has_no_addresses_of_its_own(mode: LinkMode) -> None:
    with pytest.raises(UsageError, match="a folder has no"):
        choose_links("file:/srv/store", Signing(), Time(), mode)


def test_links_of_the_server_and_of_a_public_store() -> None:
    assert ServerLinks().address(DIGEST, "https://u.example") == f"https://u.example/bundles/sha256/{DIGEST.hex}"
    assert PublicLinks(Signing()).address(DIGEST, "https://u.example") == f"https://cdn.example.com/{DIGEST.hex}"


def test_bundles_are_read_past_the_public_address(tmp_path: Path) -> None:
    blobs = Signing()
    source = tmp_path / "bundle.zip"
    source.write_bytes(ZIP)
    blobs.put(DIGEST, source)
    bundles = DirectBundles(blobs)
    assert bundles.size(DIGEST) == len(ZIP)
    with bundles.open(DIGEST, 10) as stream:
        assert stream.read() == ZIP[10:]


def test_a_signed_address_is_kept_and_renewed_while_it_holds() -> None:
    with signing() as (links, blobs, time):
        first = links.address(DIGEST, "")
        assert "signature=1&seconds=7200" in first
        time.at += timedelta(minutes=47)
        assert links.address(DIGEST, "") == first
        time.at += timedelta(minutes=2)
        links.address(DIGEST, "")  # this one or the next, but a new one is signed beside
        settled(links)
        assert "signature=2" in links.address(DIGEST, "")
        assert blobs.signed == 2


def test_an_address_that_is_given_out_holds_for_an_hour_at_least() -> None:
    with signing() as (links, blobs, time):
        first = links.address(DIGEST, "")
        blobs.error = AccessError("no", "bucket")
        time.at += timedelta(minutes=59)
        assert links.address(DIGEST, "") == first
        settled(links)
        time.at += timedelta(minutes=1)
        with pytest.raises(AccessError):
            links.address(DIGEST, "")


def test_a_failure_is_kept_for_seconds_and_then_tried_again() -> None:
    with signing() as (links, blobs, time):
        blobs.error = UnavailableError("away", "bucket")
        for _ in range(5):
            with pytest.raises(UnavailableError, match="away"):
                links.address(DIGEST, "")
        assert blobs.signed == 1
        blobs.error = None
        time.at += timedelta(seconds=5)
        assert "signature=2" in links.address(DIGEST, "")


def test_a_store_that_hangs_costs_an_answer_little() -> None:
    with signing(wait_s=0.0) as (links, blobs, _):
        blobs.may_answer.clear()
        for _ in range(3):
            with pytest.raises(UnavailableError, match="not signed the address yet"):
                links.address(DIGEST, "")
        blobs.may_answer.set()
        settled(links)
        assert "signature=1" in links.address(DIGEST, "")


def test_only_one_answer_waits_for_a_store_that_hangs() -> None:
    with signing(wait_s=0.5) as (links, blobs, _):
        blobs.may_answer.clear()
        began = monotonic()
        for _ in range(50):
            with pytest.raises(UnavailableError, match="not signed the address yet") as caught:
                links.address(DIGEST, "https://updates.example.com")
            assert len(caught.traceback) < 5
        assert monotonic() - began < 15  # of 25 s, when each waited
        blobs.may_answer.set()
        settled(links)
        assert blobs.signed == 1
        assert "signature=1" in links.address(DIGEST, "https://updates.example.com")


def test_addresses_are_signed_before_anybody_asks() -> None:
    with signing(wait_s=0.0) as (links, blobs, time):
        links.warm(view())
        settled(links)
        assert "signature=1" in links.address(DIGEST, "")
        links.warm(view())
        settled(links)
        assert blobs.signed == 1
        time.at += timedelta(hours=1)
        links.warm(view())
        settled(links)
        assert blobs.signed == 2


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 10)
    with signing() as (links, blobs, time):
        for at in range(30):
            time.at += timedelta(hours=1)
            blobs.error = UnavailableError("away", "bucket") if at % 2 else None
            try:
                links.address(Digest.of(b"%d" % at), "")
            except UnavailableError:
                assert at % 2
        assert len(links._kept) <= 10
        assert len(links._failed) <= 10
