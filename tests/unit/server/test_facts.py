from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.server import facts
from otagate.server.facts import DeviceRequest
from otagate.server.interface import Reply
from support.asked import DEVICE, INFO, info

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
REQUIRED = ("app_id", "device_id", "platform", "plugin_version", "version_build", "version_name", "is_emulator", "is_prod")


def read(**changes: Any) -> DeviceRequest:
    request = facts.read(info(**changes))
    assert isinstance(request, DeviceRequest)
    return request


def test_a_phone_is_read() -> None:
    assert read() == DeviceRequest(
        app="com.example.app",
        device_id=DEVICE,
        platform="android",
        version_build="1.0.0",
        native="1.0.0",
        version_name="builtin",
        plugin=(8, 51, 23),
        is_emulator=False,
        is_prod=True,
        default_channel="",
        key_id="MIIBCgKCAQEAabcdefgh",
    )


def test_what_is_derived() -> None:
    assert read(device_id=DEVICE.upper()).device_id == DEVICE
    assert read(version_build="1").native == "1.0.0"
    assert read(plugin_version="7.0.0-alpha.1").plugin_text == "7.0.0"
    assert read().is_builtin
    assert not read(version_name="1.2.0").is_builtin
    assert [read(is_emulator=e, is_prod=p).is_test for e in (False, True) for p in (True, False)] == [False, True, True, True]


def test_fields_that_no_answer_depends_on_may_be_anything() -> None:
    assert read(custom_id={"deep": [1]}, version_code=None, version_os=14, extra="\x00") == read()


@pytest.mark.parametrize("name", ["install_source", "defaultChannel", "key_id"])
def test_optional_fields_may_be_missing_or_null(name: str) -> None:
    assert isinstance(facts.read(info(**{name: ...})), DeviceRequest)
    assert isinstance(facts.read(info(**{name: None})), DeviceRequest)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [..., None])
def test_a_required_field_that_is_missing(name: str, value: Any) -> None:
    reply = facts.read(info(**{name: value}))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body["error"]) == (400, "missing_info")
    assert name in reply.body["message"]


@pytest.mark.parametrize("name", [*REQUIRED, "install_source", "defaultChannel", "key_id"])
@pytest.mark.parametrize("value", [7, 1.5, [], {}, ["x"], "\x00", "a\x00b", "\ud800", "x" * 10_000, "a\nb", "\u202e"], ids=repr)
def test_a_field_of_the_wrong_kind(name: str, value: Any) -> None:
    reply = facts.read(info(**{name: value}))
    assert isinstance(reply, Reply)
    assert (reply.status, set(reply.body)) == (400, {"error", "message"})
    assert reply.body["error"] in {"missing_info", "invalid_request"}
    json.dumps(reply.body).encode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("app_id", "nodots"), ("app_id", "com.example.app/../x"), ("app_id", "a" * 150 + ".abcdef"), ("app_id", True), ("app_id", ".."),
        ("device_id", "not-a-uuid"), ("device_id", DEVICE + "0"), ("device_id", DEVICE.replace("-", "_")), ("device_id", True),
        ("platform", "web"), ("platform", "iOS"), ("platform", True), ("platform", ""), ("plugin_version", "8.51"), ("plugin_version", "unknown"),
        ("is_emulator", "false"), ("is_emulator", 0), ("is_prod", "true"), ("is_prod", 1), ("version_name", True), ("version_build", True),
        ("key_id", "x" * 21), ("key_id", "<script>"), ("install_source", "x" * 65), ("defaultChannel", "x" * 129), ("defaultChannel", False),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be(name: str, value: Any) -> None:
    reply = facts.read(info(**{name: value}))
    assert isinstance(reply, Reply)
    assert reply.status == 400


@pytest.mark.parametrize("body", [None, [], "text", 7, True, [INFO]])
def test_a_body_that_is_no_object(body: Any) -> None:
    reply = facts.read(body)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_booleans_of_a_query_are_texts(text: str, expected: bool) -> None:
    request = facts.read(info(is_prod=text, is_emulator="false"), is_query=True)
    assert isinstance(request, DeviceRequest)
    assert request.is_prod is expected


def test_plus_signs_of_a_key_id_survive_the_query_of_ios() -> None:
    request = facts.read(info(is_prod="true", is_emulator="false", key_id="MIIBCgKCAQEA ab cdef"), is_query=True)
    assert isinstance(request, DeviceRequest)
    assert request.key_id == "MIIBCgKCAQEA+ab+cdef"
    assert isinstance(facts.read(info(key_id="MIIBCgKCAQEA ab cdef")), Reply)


@pytest.mark.parametrize("text", ["", "TRUE", "yes", "2"])
def test_other_texts_are_no_booleans(text: str) -> None:
    reply = facts.read(info(is_prod=text), is_query=True)
    assert isinstance(reply, Reply)
    assert reply.status == 400


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("1.2.3", "1.2.3"), ("1.2.3:assets/app.js", "1.2.3"), ("1.2.3:a:b\u00a0\x01\ud800", "1.2.3"), ("", ""), (None, ""), (":x", ""),
        ("builtin", "builtin"),
    ],
)  # fmt: skip
def test_an_event_names_a_bundle_and_perhaps_a_file(told: Any, expected: str) -> None:
    request = facts.read(info(version_name=told), is_event=True)
    assert isinstance(request, DeviceRequest)
    assert request.version_name == expected


@pytest.mark.parametrize("told", [7, [], "x" * 5000, "x" * 129 + ":y", "\x00:y"])
def test_an_event_that_names_no_bundle(told: Any) -> None:
    assert isinstance(facts.read(info(version_name=told), is_event=True), Reply)


def test_an_event_may_come_without_the_native_version() -> None:
    request = facts.read(info(version_build=""), is_event=True)
    assert isinstance(request, DeviceRequest)
    assert request.native is None


@given(JSON)
def test_no_body_raises(body: Any) -> None:
    reply = facts.read(body)
    assert isinstance(reply, Reply)
    assert reply.status == 400


@given(st.sampled_from(sorted(INFO)), JSON, st.booleans(), st.booleans())
def test_no_field_raises_and_what_is_read_can_be_stored(name: str, value: Any, is_query: bool, is_event: bool) -> None:
    request = facts.read(info(**{name: value}), is_query=is_query, is_event=is_event)
    if isinstance(request, Reply):
        assert request.status == 400
    else:
        kept = (
            request.app,
            request.device_id,
            request.version_build,
            request.version_name,
            request.default_channel,
            request.key_id,
        )
        assert all("\x00" not in text and text.encode() is not None and len(text) <= 155 for text in kept)


@pytest.mark.parametrize(
    ("plugin", "is_builtin"),
    [
        ("8.44.0", True),
        ("8.43.9", False),
        ("7.50.1", True),
        ("7.50.0", False),
        ("6.50.1", True),
        ("5.50.0", False),
        ("9.1.0", True),
    ],
)
@pytest.mark.parametrize("is_event", [False, True])
def test_newer_plugins_tell_the_native_version_when_they_run_the_built_in_bundle(
    plugin: str, is_builtin: bool, is_event: bool
) -> None:
    request = facts.read(info(version_name="2.1.0", version_build="2.1.0", plugin_version=plugin), is_event=is_event)
    assert isinstance(request, DeviceRequest)
    assert request.is_builtin is is_builtin
    other = facts.read(info(version_name="2.1.1", version_build="2.1.0", plugin_version=plugin), is_event=is_event)
    assert isinstance(other, DeviceRequest)
    assert other.version_name == "2.1.1"
