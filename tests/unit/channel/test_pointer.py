from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.channel.pointer import Pointer, from_payload, to_payload
from otagate.errors import VerificationError
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, ReleaseRef, Version, Weight

ISSUED = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)


def ref(version: str) -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of(version.encode()))


FULL = Pointer(
    ChannelState(
        app=AppId("com.example.app"),
        name=ChannelName("beta"),
        serial=7,
        stable=ref("1.1.0"),
        candidate=Candidate(ref("1.2.0"), Weight(2500), "ab" * 16),
        paused=True,
        previous=(ref("1.0.0"), None),
        blocked=(Version("0.9.0"),),
    ),
    issued=ISSUED,
    expires=ISSUED + timedelta(days=30),
    txn="01" * 16,
)
BARE = Pointer(
    ChannelState(AppId("com.example.app"), ChannelName("beta"), 1, None), ISSUED, ISSUED + timedelta(seconds=1), "f" * 32
)


@pytest.mark.parametrize("pointer", [FULL, BARE])
def test_a_pointer_survives_the_way_there_and_back(pointer: Pointer) -> None:
    payload = to_payload(pointer)
    assert from_payload(payload, subject="x") == pointer
    assert to_payload(from_payload(payload, subject="x")) == payload


def test_the_bytes_are_fixed() -> None:
    assert to_payload(BARE).decode() == (
        '{"app":"com.example.app","blocked":[],"candidate":null,"channel":"beta","expires":"2026-11-21T09:30:01.123456Z",'
        '"issued":"2026-11-21T09:30:00.123456Z","paused":false,"previous":[],"schema":"otagate/channel/v1","serial":1,'
        '"stable":null,"txn":"ffffffffffffffffffffffffffffffff","withdrawn":null}'
    )


def test_an_instant_of_another_zone_is_written_in_utc() -> None:
    east = timezone(timedelta(hours=5))
    moved = Pointer(BARE.state, BARE.issued.astimezone(east), BARE.expires.astimezone(east), BARE.txn)
    assert to_payload(moved) == to_payload(BARE)


versions = st.integers(0, 30).map(lambda minor: ref(f"1.{minor}.0"))


@given(
    st.integers(1, 2**53),
    st.none() | versions,
    st.lists(st.none() | versions, max_size=10),
    st.lists(st.integers(31, 60).map(lambda minor: Version(f"1.{minor}.0")), unique=True),
    st.booleans(),
)
def test_any_state_survives_the_way_there_and_back(
    serial: int, stable: ReleaseRef | None, previous: list[ReleaseRef | None], blocked: list[Version], paused: bool
) -> None:
    state = ChannelState(
        AppId("a.b"), ChannelName("c"), serial, stable, None, paused, previous=tuple(previous), blocked=tuple(blocked)
    )
    pointer = Pointer(state, ISSUED, ISSUED + timedelta(days=1), "0" * 32)
    assert from_payload(to_payload(pointer), subject="x") == pointer


Edit = Callable[[dict[str, Any]], object]
STABLE = {"version": "1.1.0", "statement": str(Digest.of(b"1.1.0"))}

WRONG: list[tuple[str, Edit]] = [
    ("pointer.schema", lambda value: value.update(schema="otagate/channel/v2")),
    ("pointer.app", lambda value: value.update(app="no app id")),
    ("pointer.channel", lambda value: value.update(channel="../x")),
    ("pointer.serial", lambda value: value.update(serial=0)),
    ("pointer.serial", lambda value: value.update(serial=True)),
    ("pointer.serial", lambda value: value.update(serial=1.5)),
    ("pointer.serial", lambda value: value.update(serial="7")),
    ("pointer.issued", lambda value: value.update(issued="2026-11-21T09:30:00")),
    ("pointer.issued", lambda value: value.update(issued=5)),
    ("pointer.expires", lambda value: value.update(expires=value["issued"])),
    ("pointer.expires", lambda value: value.update(expires="never")),
    ("txn", lambda value: value.update(txn="short")),
    ("pointer.stable", lambda value: value.update(stable="1.1.0")),
    ("pointer.stable.version", lambda value: value["stable"].update(version="v1")),
    ("pointer.stable.statement", lambda value: value["stable"].update(statement="sha256:00")),
    ("pointer.stable.statement", lambda value: value["stable"].pop("statement")),
    ("release reference", lambda value: value["stable"].update(only_for="ios")),
    ("pointer.candidate", lambda value: value.update(candidate=[])),
    ("pointer.candidate.weight", lambda value: value["candidate"].update(weight=10_001)),
    ("pointer.candidate.weight", lambda value: value["candidate"].update(weight=-1)),
    ("pointer.candidate.weight", lambda value: value["candidate"].update(weight=True)),
    ("seed", lambda value: value["candidate"].update(seed="AB" * 16)),
    ("pointer.candidate.seed", lambda value: value["candidate"].pop("seed")),
    ("release reference", lambda value: value["candidate"].update(channel="beta")),
    ("pointer.candidate", lambda value: value["candidate"].update(STABLE)),
    ("pointer.paused", lambda value: value.update(paused=0)),
    ("pointer.paused", lambda value: value.pop("paused")),
    ("pointer.previous", lambda value: value.update(previous=None)),
    ("pointer.previous[1]", lambda value: value.update(previous=[None, "1.0.0"])),
    ("pointer.previous", lambda value: value.update(previous=[None] * 11)),
    ("pointer.blocked[0]", lambda value: value.update(blocked=[1])),
    ("pointer.blocked[1]", lambda value: value.update(blocked=["1.0.0", "one"])),
    ("pointer.blocked", lambda value: value.update(blocked=["0.1.0", "0.1.0"])),
    ("pointer.blocked", lambda value: value.update(blocked=["1.1.0"])),
    ("pointer.blocked", lambda value: value.update(blocked=["1.2.0"])),
    ("kill_switch", lambda value: value.update(kill_switch=True)),
    *((f"pointer.{name}", lambda value, name=name: value.pop(name)) for name in json.loads(to_payload(FULL)) if name != "txn"),
    ("pointer.txn", lambda value: value.pop("txn")),
]


@pytest.mark.parametrize(("words", "edit"), WRONG)
def test_a_wrong_field_is_named(words: str, edit: Edit) -> None:
    value = copy.deepcopy(json.loads(to_payload(FULL)))
    edit(value)
    with pytest.raises(VerificationError) as caught:
        from_payload(json.dumps(value).encode(), subject="channel beta")
    assert words in str(caught.value)
    assert caught.value.subject == "channel beta"


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'{"app": 1, "app": 2}', b'{"serial": NaN}', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(VerificationError):
        from_payload(payload, subject="x")
