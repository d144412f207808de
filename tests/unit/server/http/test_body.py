from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from otagate.server.http import body
from otagate.server.http.answer import Gone, Refused
from otagate.server.http.body import check_type, parse_json, parse_query, read_body


def read(messages: list[dict[str, Any]], length: bytes | None = None, limit: int = 10) -> bytes:
    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return asyncio.run(read_body(receive, length, limit))


def piece(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([piece(b"")], b""),
        ([piece(b"0123456789")], b"0123456789"),
        ([piece(b"01", more=True), piece(b"23", more=True), piece(b"4")], b"01234"),
        ([{"type": "http.request"}], b""),
    ],
)
def test_a_body_is_read_whole(messages: list[dict[str, Any]], whole: bytes) -> None:
    assert read(messages) == whole


@pytest.mark.parametrize(
    ("messages", "length"),
    [
        ([], b"11"),
        ([], b"9" * 5000),
        ([piece(b"0123456789a")], None),
        ([piece(b"012345", more=True), piece(b"6789a", more=True)], None),
        ([piece(b"012345", more=True), piece(b"6789a")], b"3"),
    ],
)
def test_a_body_that_is_too_large_is_refused_as_soon_as_that_is_known(
    messages: list[dict[str, Any]], length: bytes | None
) -> None:
    with pytest.raises(Refused) as caught:
        read(messages, length)
    assert caught.value.answer.status == 413
    assert (b"connection", b"close") in caught.value.answer.head()
    assert messages == []


@pytest.mark.parametrize("before", [[], [piece(b"01", more=True)]])
def test_a_client_that_goes_away_is_not_answered(before: list[dict[str, Any]]) -> None:
    with pytest.raises(Gone):
        read([*before, {"type": "http.disconnect"}])


@pytest.mark.parametrize("told", [None, b"10", b"not a number", b""])
def test_a_length_that_says_nothing_is_passed_over(told: bytes | None) -> None:
    assert read([piece(b"01")], told) == b"01"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, null, true, "x"]} ', {"a": [1, 2.5, None, True, "x"]}),
        ('{"name": "Zoë"}'.encode(), {"name": "Zoë"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (rb'"\ud800"', "\ud800"),
        (b"null", None),
        (b"1e300", 1e300),
    ],
)
def test_json_is_read(raw: bytes, value: Any) -> None:
    assert parse_json(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b"[1,]",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\x00"}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"[" * 16_000,
        b"[" * 15_000 + b"]" * 15_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"1" * 5000,
    ],
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(raw)
    assert caught.value.answer.status == 400
    assert caught.value.answer.note == "invalid_json"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"", {}),
        (b"a=1&b=two+words&c=%C3%A9", {"a": "1", "b": "two words", "c": "é"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a&b=", {"a": "", "b": ""}),
        (b"a=%zz", {"a": "%zz"}),
    ],
)
def test_a_query_is_read(query: bytes, value: dict[str, str]) -> None:
    assert parse_query(query) == value


@pytest.mark.parametrize("query", [b"a=\xff", b"a=%ff", "ä=1".encode(), b"&".join(b"a=1" for _ in range(65))])
def test_what_is_no_query_is_refused(query: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_query(query)
    assert caught.value.answer.status == 400


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b'Application/JSON;charset="UTF-8"',
        b"application/json;",
        b"application/json; version=1",
        b"text/json",
        b"",
    ],
)
def test_json_and_nothing_said_are_taken(content_type: bytes | None) -> None:
    check_type(content_type, None)
    check_type(content_type, b" Identity ")


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (b"text/plain", None),
        (b"application/x-www-form-urlencoded", None),
        (b"multipart/form-data; boundary=x", None),
        (b"application/json; charset=utf-16", None),
        (b"application/json5", None),
        (b"\xff", None),
        (b"application/json", b"gzip"),
        (None, b"br"),
        (None, b"identity, gzip"),
    ],
)
def test_other_types_and_encodings_are_refused(content_type: bytes | None, encoding: bytes | None) -> None:
    with pytest.raises(Refused) as caught:
        check_type(content_type, encoding)
    assert caught.value.answer.status == 415


def test_what_is_remembered_of_types_is_bounded() -> None:
    for at in range(1000):
        with pytest.raises(Refused):
            check_type(b"text/%d" % at, None)
    assert len(body._types) <= 256


@pytest.mark.parametrize(
    "raw", [b"[" + b"1," * 200_000 + b"1]", b"[" * 60_000, b"[" + b"{}," * 20_000 + b"1]", b'"' + b"," * 40_000 + b'"']
)
def test_a_body_that_is_long_to_read_is_not_read(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parse_json(raw)
    assert caught.value.answer.status == 400
    assert b"too many values" in bytes(caught.value.answer.body)  # type: ignore[arg-type]


def test_a_plugins_whole_queue_is_read() -> None:
    fields = {f"field_{number}": "[object, Object]" for number in range(20)}
    events = [{**fields, "metadata": {"stack": "at f (a, b) [native]" * 20}} for _ in range(200)]
    assert parse_json(json.dumps(events).encode()) == events
