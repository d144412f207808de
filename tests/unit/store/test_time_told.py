"""The time by the Date of a service's answer."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from otagate.store.cloud import cloud_store
from otagate.store.guarded import GuardedDocuments
from otagate.store.interface import TellsTime
from otagate.store.memory import MemoryStore
from otagate.store.time_told import time_at
from support.buckets_memory import MemoryObjects

URL = "https://bucket.example.com/"
DATE = "Sat, 21 Nov 2026 09:30:00 GMT"
INSTANT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def saying(status: int = 403, **headers: str) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.headers.get("authorization")) == ("HEAD", None)
        return httpx.Response(status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("status", [200, 301, 400, 403, 404])
def test_any_answer_tells_the_time_also_a_refusal(status: int) -> None:
    assert time_at(URL, saying(status, Date=DATE, Location="https://elsewhere.example.com/")) == INSTANT


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": "soon"},
        {"Date": ""},
        {"Date": "Sat, 31 Feb 2026 09:30:00 GMT"},
        {"Date": DATE, "Age": "17"},
    ],
)
def test_an_answer_that_does_not_tell_is_none(headers: dict[str, str]) -> None:
    assert time_at(URL, saying(403, **headers)) is None


def test_a_server_in_trouble_is_not_believed() -> None:
    assert time_at(URL, saying(502, Date=DATE)) is None


def test_other_zones_and_none_are_read_as_instants() -> None:
    assert time_at(URL, saying(Date="Sat, 21 Nov 2026 10:30:00 +0100")) == INSTANT
    assert time_at(URL, saying(Date="Sat, 21 Nov 2026 09:30:00 -0000")) == INSTANT
    assert time_at(URL, saying(Date=DATE, Age="0")) == INSTANT


@pytest.mark.parametrize("url", ["memory bucket", "http://127.0.0.1:1/", "http://localhost:1/", "https://[::1]:1/", "https://"])
def test_nobody_there_is_none(url: str) -> None:
    assert time_at(url) is None


def test_a_failing_network_is_none() -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    assert time_at(URL, httpx.MockTransport(fails)) is None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []

    def tell(url: str) -> datetime:
        urls.append(url)
        return INSTANT

    monkeypatch.setattr("otagate.store.cloud_documents.time_at", tell)
    return urls


def test_documents_in_a_bucket_tell_its_time_also_when_guarded(asked: list[str]) -> None:
    objects = MemoryObjects()
    documents = cloud_store("bucket", objects, "prefix/").documents
    guarded = GuardedDocuments(documents, "bucket")
    assert isinstance(documents, TellsTime)
    assert (documents.time_told(), guarded.time_told()) == (INSTANT, INSTANT)
    assert asked == [objects.address("")] * 2
    assert objects.calls == []


def test_what_tells_no_time_is_asked_for_none() -> None:
    inner = MemoryStore("m").documents
    assert not isinstance(inner, TellsTime)
    assert GuardedDocuments(inner, "somewhere").time_told() is None
