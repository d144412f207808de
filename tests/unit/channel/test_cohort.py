from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.channel.cohort import Answer, bucket, choose
from otagate.channel.transitions import offer, pause, unborn, withdraw
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, ReleaseRef, Version, Weight

APP = AppId("com.example.app")
SEED = "000102030405060708090a0b0c0d0e0f"
DEVICE = "5a1f6c3e-8f0b-4a6e-9d57-0c2f7e1b9a44"


def ref(version: str) -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of(version.encode()))


A, B = ref("1.0.0"), ref("1.1.0")
EMPTY = unborn(APP, ChannelName("stable"))
ON_A = replace(EMPTY, serial=1, stable=A)


def independent_bucket(seed_hex: str, app: str, device_id: str) -> int:
    """HMAC-SHA256 written out by RFC 2104, for comparison."""
    key = bytes.fromhex(seed_hex).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + (app + device_id.lower()).encode()).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return int(outer.hex()[:16], 16) % 10_000


# The numbers come from: printf %s com.example.app<device id, lower case> | openssl dgst -sha256 -mac HMAC -macopt hexkey:<seed>
@pytest.mark.parametrize(
    ("device_id", "expected"),
    [(DEVICE, 2923), (DEVICE.upper(), 2923), ("", 2452), ("ÄÖ", 5693)],
)
def test_buckets_are_fixed_for_ever(device_id: str, expected: int) -> None:
    assert bucket(SEED, APP, device_id) == expected == independent_bucket(SEED, str(APP), device_id)


@given(st.text(max_size=50), st.binary(min_size=16, max_size=16))
def test_every_text_has_a_bucket(device_id: str, seed: bytes) -> None:
    assert 0 <= bucket(seed.hex(), APP, device_id) < 10_000
    assert bucket(seed.hex(), APP, "\ud800") >= 0


def test_buckets_are_uniform_and_unlike_between_seeds() -> None:
    devices = [str(uuid.UUID(int=number)) for number in range(20_000)]
    inside = [device for device in devices if bucket(SEED, APP, device) < 2500]
    assert 0.24 < len(inside) / len(devices) < 0.26
    both = [device for device in inside if bucket("ff" * 16, APP, device) < 2500]
    assert 0.23 < len(both) / len(inside) < 0.27


def test_a_device_that_is_in_stays_in_while_the_weight_grows() -> None:
    devices = [str(uuid.UUID(int=number)) for number in range(500)]
    inside: set[str] = set()
    state = ON_A
    for bps in (0, 1, 500, 2500, 5000, 9999, 10_000):
        state = offer(state, B, Weight(bps), SEED)
        now = {device for device in devices if choose(state, device, "1.0.0") == B}
        assert now >= inside
        inside = now
    assert inside == set(devices)


def ramp(bps: int) -> ChannelState:
    return replace(ON_A, candidate=Candidate(B, Weight(bps), SEED))


PAUSED_IN, PAUSED_OUT = pause(ramp(2924)), pause(ramp(2923))


@pytest.mark.parametrize(
    ("state", "current", "expected"),
    [
        (EMPTY, None, Answer.BUILT_IN),
        (EMPTY, "1.0.0", Answer.BUILT_IN),
        (ON_A, None, A),
        (ON_A, "1.0.0", A),
        (ON_A, "0.9.0", A),
        (ramp(2923), "1.0.0", A),
        (ramp(2924), "1.0.0", B),
        (replace(ramp(10_000), stable=None), None, B),
        (replace(ramp(0), stable=None), "1.1.0", Answer.BUILT_IN),
        # A paused channel moves nobody.
        (PAUSED_IN, "1.0.0", Answer.KEEP),
        (PAUSED_IN, "1.1.0", B),
        (PAUSED_OUT, "1.0.0", A),
        (PAUSED_OUT, "1.1.0", Answer.KEEP),
        (PAUSED_IN, None, Answer.KEEP),
        (pause(EMPTY), None, Answer.BUILT_IN),
        (pause(EMPTY), "0.9.0", Answer.KEEP),
        # A rollback reaches the devices that run the bad bundle, also when the channel is paused.
        (withdraw(PAUSED_IN, B), "1.1.0", A),
        (withdraw(PAUSED_IN, B), "1.0.0", A),
        (withdraw(PAUSED_IN, B), "0.9.0", Answer.KEEP),
        (withdraw(pause(ON_A), A), "1.0.0", Answer.BUILT_IN),
        # A pointer that names a blocked release, which no transition makes, is not obeyed.
        (replace(ramp(10_000), blocked=(B.version,)), "1.0.0", A),
        (replace(ON_A, blocked=(A.version,)), None, Answer.BUILT_IN),
    ],
)
def test_what_a_device_is_to_run(state: ChannelState, current: str | None, expected: ReleaseRef | Answer) -> None:
    assert choose(state, DEVICE, current) == expected
