from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from otagate import _canonical
from otagate.errors import VerificationError
from otagate.seal.dsse import MAX_SIGNATURES, pae, sign_envelope, verify_envelope
from support.keys import signer, trusting

TYPE = "application/vnd.in-toto+json"
PAYLOAD = b'{"a":"\xc3\xbf\xf0\x9f\x98\x80>?"}'
"""Its base64 differs between the two alphabets."""


def test_pre_authentication_encoding_is_that_of_the_specification() -> None:
    # Source: DSSE protocol.md, "Test Vectors".
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_count_bytes_not_characters() -> None:
    assert pae("té", b"") == b"DSSEv1 3 t\xc3\xa9 0 "


def test_what_was_signed_comes_back() -> None:
    assert verify_envelope(sign_envelope(TYPE, PAYLOAD, signer()), trusting("ed25519"), TYPE, subject="x") == PAYLOAD


def test_the_same_input_gives_the_same_bytes_and_they_are_canonical() -> None:
    envelope = sign_envelope(TYPE, PAYLOAD, signer())
    assert envelope == sign_envelope(TYPE, PAYLOAD, signer())
    assert envelope == _canonical.dumps(json.loads(envelope))


def test_a_signature_cannot_move_to_another_split_of_type_and_payload() -> None:
    moved = _changed(payloadType="application/vnd.in-toto+json 1", payload="")
    with pytest.raises(VerificationError):
        verify_envelope(moved, trusting("ed25519"), "application/vnd.in-toto+json 1", subject="x")


def _envelope() -> dict[str, Any]:
    return dict(json.loads(sign_envelope(TYPE, PAYLOAD, signer())))


def _changed(**changes: Any) -> bytes:
    return json.dumps(_envelope() | changes).encode()


def _signature(name: str = "ed25519", **changes: Any) -> dict[str, Any]:
    own = json.loads(sign_envelope(TYPE, PAYLOAD, signer(name)))["signatures"][0]
    return dict(own | changes)


def _url_safe(text: str) -> str:
    return text.replace("+", "-").replace("/", "_")


GOOD: dict[str, dict[str, Any]] = {
    "an unknown field": {"future": 1},
    "an unknown field of a signature": {"signatures": [_signature(cert="x")]},
    "no key id": {"signatures": [{"sig": _signature()["sig"]}]},
    "the key id of another trusted key: only a hint": {
        "signatures": [_signature(keyid=signer("ed25519_other").public_key().key_id)]
    },
    "a strange key id": {"signatures": [_signature(keyid="\u202e")]},
    "base64url": {
        "payload": _url_safe(base64.b64encode(PAYLOAD).decode()),
        "signatures": [_signature(sig=_url_safe(_signature()["sig"]))],
    },
    "a foreign signature beside a good one": {"signatures": [_signature("ed25519_other"), _signature()]},
    "a bad signature beside a good one": {"signatures": [_signature(sig=base64.b64encode(bytes(64)).decode()), _signature()]},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD.keys())
def test_a_good_envelope_verifies(changes: Any) -> None:
    trusted = trusting("ed25519", "ed25519_other") if "keyid" in str(changes) else trusting("ed25519")
    assert verify_envelope(_changed(**changes), trusted, TYPE, subject="x") == PAYLOAD


_OTHER = base64.b64encode(PAYLOAD + b" ").decode()
BAD: dict[str, tuple[bytes, str]] = {
    "another payload": (_changed(payload=_OTHER), "the signature does not hold"),
    "another type": (_changed(payloadType="text/plain"), "the envelope holds something else"),
    "no signature": (_changed(signatures=[]), "it carries no signature"),
    "signatures of a foreign key": (_changed(signatures=[_signature("ed25519_other")]), "it is not signed by a trusted key"),
    "a foreign key under our name": (
        _changed(signatures=[_signature("ed25519_other", keyid=signer().public_key().key_id)]),
        "the signature does not hold",
    ),
    "an empty signature": (_changed(signatures=[_signature(sig="")]), "the signature does not hold"),
    "half a signature": (_changed(signatures=[_signature(sig=_signature()["sig"][:40])]), "the signature does not hold"),
    "the signature twice in one": (
        _changed(signatures=[_signature(sig=base64.b64encode(base64.b64decode(_signature()["sig"]) * 2).decode())]),
        "the signature does not hold",
    ),
    "a signature that is no base64": (_changed(signatures=[_signature(sig="!!")]), "this is not a signed envelope"),
    "a signature that is no text": (_changed(signatures=[_signature(sig=1)]), "this is not a signed envelope"),
    "a signature that is no object": (_changed(signatures=["x"]), "this is not a signed envelope"),
    "a key id that is no text": (_changed(signatures=[_signature(keyid=1)]), "this is not a signed envelope"),
    "too many signatures": (
        _changed(signatures=[_signature("ed25519_other")] * (MAX_SIGNATURES + 1)),
        "this is not a signed envelope",
    ),
    "signatures that are no list": (_changed(signatures={}), "this is not a signed envelope"),
    "no payload": (
        json.dumps({k: v for k, v in _envelope().items() if k != "payload"}).encode(),
        "this is not a signed envelope",
    ),
    "a payload that is no text": (_changed(payload=[]), "this is not a signed envelope"),
    "a payload with line ends": (_changed(payload=_OTHER + "\n"), "this is not a signed envelope"),
    "a payload without padding": (
        _changed(payload=base64.b64encode(b"x").decode().rstrip("=")),
        "this is not a signed envelope",
    ),
    "a payload in another spelling": (_changed(payload="eB=="), "this is not a signed envelope"),
    "a payload in a mix of alphabets": (_changed(payload="+_+_"), "this is not a signed envelope"),
    "a payload that is not ASCII": (_changed(payload="é"), "this is not a signed envelope"),
    "a type that is no text": (_changed(payloadType=None), "this is not a signed envelope"),
    "a list": (b"[]", "this is not a signed envelope"),
    "no JSON": (b"x", "this is not a signed envelope"),
    "nothing": (b"", "this is not a signed envelope"),
    "a key twice": (b'{"payload":"","payload":"","payloadType":"","signatures":[]}', "this is not a signed envelope"),
    "no UTF-8": (b"\xff", "this is not a signed envelope"),
    "deep nesting": (b"[" * 100_000, "this is not a signed envelope"),
}


@pytest.mark.parametrize(("data", "what"), BAD.values(), ids=BAD.keys())
def test_a_bad_envelope_is_refused_by_name(data: bytes, what: str) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_envelope(data, trusting("ed25519"), TYPE, subject="releases/1.0.0.json")
    assert caught.value.what == what
    assert caught.value.subject == "releases/1.0.0.json"
    assert caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("at", range(0, 64, 7))
def test_each_part_of_the_signature_counts(at: int) -> None:
    raw = bytearray(base64.b64decode(_signature()["sig"]))
    raw[at] ^= 1
    with pytest.raises(VerificationError):
        verify_envelope(
            _changed(signatures=[_signature(sig=base64.b64encode(raw).decode())]), trusting("ed25519"), TYPE, subject="x"
        )


def test_one_key_twice_counts_once() -> None:
    both = trusting("ed25519", "ed25519_other")
    twice = _changed(signatures=[_signature(), _signature()])
    with pytest.raises(VerificationError) as caught:
        verify_envelope(twice, both, TYPE, subject="x", threshold=2)
    assert caught.value.found is not None
    assert caught.value.found.startswith("1 good of 2")


def test_two_keys_make_a_threshold_of_two() -> None:
    two = _changed(signatures=[_signature(), _signature("ed25519_other")])
    assert verify_envelope(two, trusting("ed25519", "ed25519_other"), TYPE, subject="x", threshold=2) == PAYLOAD


def test_a_signature_over_the_bare_payload_does_not_hold() -> None:
    bare = base64.b64encode(signer().sign(PAYLOAD)).decode()
    with pytest.raises(VerificationError):
        verify_envelope(_changed(signatures=[_signature(sig=bare)]), trusting("ed25519"), TYPE, subject="x")
