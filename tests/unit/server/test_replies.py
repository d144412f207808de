"""What our answers mean to the plugin: its own contract cases, and how each generation reads an answer, written anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from otagate.server import replies
from otagate.server.replies import Kind

Body = Mapping[str, Any]
SERVED = replies.update(version="1.2.0", url="https://a.example/b", session_key="iv:key", checksum="ab")
REFUSED = [
    replies.refusal(Kind.UP_TO_DATE, "no_new_version_available", "the device runs it already"),
    replies.refusal(
        Kind.BLOCKED,
        "disable_auto_update_to_major",
        "another major version",
        {"version": "2.0.0", "old": "1.0.0", "major": True},
    ),
    replies.refusal(Kind.FAILED, "misconfigured_channel", "the pointer has expired"),
]


def kind_that_the_plugin_reads(kind: str | None) -> str:
    return kind if kind in {"up_to_date", "blocked", "failed"} else "failed"


# The six cases that the plugin's repository fixes for both of its platforms (native-contract-tests/core.json, updateResponseKind).
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("up_to_date", "up_to_date"),
        ("blocked", "blocked"),
        ("failed", "failed"),
        (None, "failed"),
        ("", "failed"),
        ("update_available", "failed"),
    ],
)
def test_kinds_as_the_plugin_maps_them(sent: str | None, read: str) -> None:
    assert kind_that_the_plugin_reads(sent) == read


def test_our_kinds_are_those_that_the_plugin_knows() -> None:
    assert {kind_that_the_plugin_reads(kind.value) for kind in Kind} == {kind.value for kind in Kind}


def until_7_8(body: Body) -> bool:
    return "message" in body


def until_7_23(body: Body) -> bool:
    return "error" in body or "message" in body


def until_8_45_10(body: Body) -> bool:
    return "error" in body


def from_8_45_11(body: Body) -> bool:
    return "error" in body or "kind" in body


GENERATIONS = [until_7_8, until_7_23, until_8_45_10, from_8_45_11]


@pytest.mark.parametrize("reads_as_refusal", GENERATIONS)
def test_every_generation_takes_a_refusal_for_one(reads_as_refusal: Callable[[Body], bool]) -> None:
    assert all(reads_as_refusal(body) for body in REFUSED)


@pytest.mark.parametrize("reads_as_refusal", GENERATIONS)
@pytest.mark.parametrize("body", [SERVED, replies.to_builtin()])
def test_no_generation_takes_a_success_for_a_refusal(reads_as_refusal: Callable[[Body], bool], body: Body) -> None:
    assert not reads_as_refusal(body)
    assert not {"error", "kind", "message"} & set(body)


# Typed from AppVersionDec of the iOS plugin 8.51.23: one field of another type and nothing of the answer is read.
IOS = {
    "version": str,
    "checksum": str,
    "url": str,
    "message": str,
    "error": str,
    "kind": str,
    "session_key": str,
    "major": bool,
    "breaking": bool,
}


@pytest.mark.parametrize("body", [SERVED, replies.to_builtin(), *REFUSED])
def test_ios_can_decode_it(body: Body) -> None:
    assert all(type(value) is IOS[name] for name, value in body.items() if name in IOS)
    assert not {"data", "manifest"} & set(body)


def test_a_refusal_carries_all_three_and_its_extras() -> None:
    assert REFUSED[1] == {
        "error": "disable_auto_update_to_major",
        "message": "another major version",
        "kind": "blocked",
        "version": "2.0.0",
        "old": "1.0.0",
        "major": True,
    }


def test_a_clear_bundle_has_an_empty_session_key() -> None:
    assert replies.update(version="1.2.0", url="u", session_key="", checksum="c")["session_key"] == ""


def test_an_app_that_could_not_be_read_yet_is_no_reason_to_fall_silent() -> None:
    reply = replies.unread_app()
    assert (reply.status, reply.body["error"], reply.retry_after_s) == (503, "unavailable", 30)
    assert reply.refused == {"unread_app": 1}


def test_an_app_that_is_not_served_is_told_to_wait() -> None:
    reply = replies.unknown_app()
    assert (reply.status, reply.body["error"], reply.retry_after_s) == (429, "on_premise_app", 300)
    assert reply.refused == {"unknown_app": 1}
