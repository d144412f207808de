from __future__ import annotations

import json
from dataclasses import replace

import pytest

from otagate.server.transport import limits as say
from otagate.server.transport.limits import Limits, Refusal, Traffic

REFUSALS = [value for value in vars(say).values() if isinstance(value, Refusal)]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.reason)
def test_a_refusal_is_a_whole_answer(refusal: Refusal) -> None:
    head, _, body = refusal.wire.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    assert refusal.head == head + b"\r\n\r\n"
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(body)
    assert set(json.loads(body)) == {"error", "message"}
    assert ("retry-after" in headers) == (refusal.status in {429, 503})
    assert 400 <= refusal.status < 600


def test_reasons_are_distinct_words() -> None:
    reasons = [refusal.reason for refusal in REFUSALS]
    assert len(reasons) == len(set(reasons)) == 15


def test_connections_are_bounded_in_all_and_by_address() -> None:
    traffic = Traffic(replace(Limits(), connections=3, per_address=2))
    assert [traffic.admit("a"), traffic.admit("a")] == [None, None]
    assert traffic.admit("a") is say.ADDRESS_FULL
    assert traffic.admit(None) is None
    assert traffic.admit("b") is say.CONNECTIONS_FULL
    assert traffic.refused == {"address_full": 1, "connections_full": 1}
    traffic.leave("a")
    assert traffic.admit("a") is None
    traffic.leave("a")
    traffic.leave("a")
    traffic.leave(None)
    assert traffic.connections == 0
    assert traffic._by_address == {}
