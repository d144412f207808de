from __future__ import annotations

import base64
import json
import traceback
from typing import Any

import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from otagate.errors import KeyMaterialError, VerificationError
from otagate.seal.recipients import (
    MAX_JWE_BYTES,
    Recipient,
    load_recipient,
    load_recipient_private,
    unwrap_content_key,
    wrap_content_key,
)
from support.keys import key

KINDS = {
    "rsa2048": "RSA-OAEP-256",
    "rsa3072": "RSA-OAEP-256",
    "rsa4096": "RSA-OAEP-256",
    "p256": "ECDH-ES+A256KW",
    "p384": "ECDH-ES+A256KW",
    "p521": "ECDH-ES+A256KW",
}
CONTENT = bytes(range(32))


def _jwk(name: str, *, private: bool = False, **changes: Any) -> str:
    own = JWK.from_pem(key(name).encode())
    fields = own.export_private(as_dict=True) if private else own.export_public(as_dict=True)
    return json.dumps(fields | changes)


def _public(name: str) -> Recipient:
    return load_recipient(key(f"{name}_public"), name)


def _private(name: str) -> Recipient:
    return load_recipient_private(key(name), name)


@pytest.mark.parametrize(("name", "algorithm"), KINDS.items())
def test_one_recipient_gets_a_compact_jwe(name: str, algorithm: str) -> None:
    wrapped = wrap_content_key(CONTENT, [_public(name)])
    assert wrapped.count(".") == 4
    header = json.loads(base64.urlsafe_b64decode(wrapped.split(".", 1)[0] + "=="))
    assert header["alg"] == algorithm
    assert header["enc"] == "A256GCM"
    assert header["kid"] == _public(name).kid
    assert unwrap_content_key(wrapped, _private(name), subject="x") == CONTENT


def test_several_recipients_get_a_general_jwe() -> None:
    wrapped = wrap_content_key(CONTENT, [_public(name) for name in KINDS])
    assert [item["header"]["alg"] for item in json.loads(wrapped)["recipients"]] == list(KINDS.values())
    for name in KINDS:
        assert unwrap_content_key(wrapped, _private(name), subject="x") == CONTENT


def test_inside_is_a_jwk() -> None:
    token = JWE()
    token.deserialize(wrap_content_key(CONTENT, [_public("p256")]), JWK.from_pem(key("p256").encode()))
    encoded = base64.urlsafe_b64encode(CONTENT).rstrip(b"=").decode()
    assert json.loads(token.payload) == {"kty": "oct", "alg": "A256GCM", "k": encoded}


@pytest.mark.parametrize("name", KINDS)
def test_pem_and_jwk_are_the_same_recipient(name: str) -> None:
    assert load_recipient(_jwk(name), "x").kid == _public(name).kid
    assert load_recipient_private(_jwk(name, private=True), "x").kid == _public(name).kid


def test_what_a_jwk_says_about_itself_decides_nothing() -> None:
    recipient = load_recipient(_jwk("rsa2048", alg="RSA1_5", kid="mine", key_ops=["verify"]), "x")
    assert recipient.algorithm == "RSA-OAEP-256"
    assert unwrap_content_key(wrap_content_key(CONTENT, [recipient]), _private("rsa2048"), subject="x") == CONTENT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (key("rsa1024_public"), "RSA-1024"),
        (key("ed25519_public"), "kind OKP"),
        (key("x25519_public"), "kind OKP"),
        (key("secp256k1_public"), "secp256k1"),
        (_jwk("rsa2048", use="sig"), "'use'"),
        ('{"kty":"oct","k":"AAAA"}', "symmetric"),
        ("{", "damaged"),
        ("{}", "damaged"),
        ('{"kty":"EC","crv":"P-256"}', "damaged"),
        ('{"kty":"RSA","n":"!","e":"AQAB"}', "damaged"),
        (key("rsa2048_public")[:70], "without a matching"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "damaged"),
        ("", "without -----BEGIN"),
    ],
)
def test_what_cannot_be_a_recipient(text: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        load_recipient(text, "seal.recipients[0]")
    assert words in str(caught.value)
    assert caught.value.subject == "seal.recipients[0]"


@pytest.mark.parametrize("text", [key("rsa2048"), key("p256"), key("p256_sec1"), _jwk("p256", private=True)])
def test_a_private_key_is_no_recipient(text: str) -> None:
    with pytest.raises(KeyMaterialError, match="this is a private key"):
        load_recipient(text, "x")


@pytest.mark.parametrize("text", [key("rsa2048_public"), _jwk("p256")])
def test_a_public_key_opens_nothing(text: str) -> None:
    with pytest.raises(KeyMaterialError, match="this is a public key"):
        load_recipient_private(text, "x")


def test_an_encrypted_key_is_told() -> None:
    with pytest.raises(KeyMaterialError, match="passphrase"):
        load_recipient_private(key("rsa2048_encrypted"), "x")


def test_a_damaged_private_jwk_is_not_shown() -> None:
    text = _jwk("p256", private=True, crv="P-999")
    with pytest.raises(KeyMaterialError) as caught:
        load_recipient_private(text, "x")
    assert json.loads(text)["d"] not in "".join(traceback.format_exception(caught.value))


def test_a_recipient_shows_no_key() -> None:
    assert "jwk" not in repr(_private("p256"))


def _flipped(text: str, at: int) -> str:
    other = "A" if text[at] != "A" else "B"
    return text[:at] + other + text[at + 1 :]


@pytest.mark.parametrize("name", ["rsa2048", "p256"])
def test_every_part_of_the_jwe_counts(name: str) -> None:
    wrapped = wrap_content_key(CONTENT, [_public(name)])
    starts = [0, *(at + 1 for at, char in enumerate(wrapped) if char == ".")]
    assert len(starts) == 5
    for start in starts:
        with pytest.raises(VerificationError):
            unwrap_content_key(_flipped(wrapped, start + 2), _private(name), subject="x")


def _sealed(payload: bytes, alg: str = "ECDH-ES+A256KW", enc: str = "A256GCM", **more: Any) -> str:
    token = JWE(
        payload,
        json.dumps({"alg": alg, "enc": enc, **more}),
        recipient=JWK.from_pem(key("p256_public").encode()),
        algs=[alg, enc],
    )
    return str(token.serialize(compact=True))


def _content(**changes: Any) -> bytes:
    return json.dumps(
        {"kty": "oct", "alg": "A256GCM", "k": base64.urlsafe_b64encode(CONTENT).rstrip(b"=").decode()} | changes
    ).encode()


BAD = {
    "another key": (wrap_content_key(CONTENT, [_public("p384")]), "does not open"),
    "another kind of key": (wrap_content_key(CONTENT, [_public("rsa2048")]), "does not open"),
    "another way of wrapping": (_sealed(_content(), alg="ECDH-ES"), "does not open"),
    "weaker wrapping": (_sealed(_content(), alg="ECDH-ES+A128KW"), "does not open"),
    "another cipher": (_sealed(_content(), enc="A128CBC-HS256"), "does not open"),
    "compression": (_sealed(_content(), zip="DEF"), "uncompressed"),
    "no JSON inside": (_sealed(b"x" * 32), "does not open"),
    "a list inside": (_sealed(b"[]"), "kty oct"),
    "another kind inside": (_sealed(_content(kty="RSA")), "kty oct"),
    "another algorithm inside": (_sealed(_content(alg="A128GCM")), "kty oct"),
    "16 bytes inside": (_sealed(_content(k=base64.urlsafe_b64encode(bytes(16)).rstrip(b"=").decode())), "16 bytes"),
    "no key inside": (_sealed(_content(k=None)), "with a key"),
    "padding inside": (_sealed(_content(k=base64.urlsafe_b64encode(CONTENT).decode())), "base64url"),
    "nothing": ("", "does not open"),
    "no JWE": ("a.b.c.d.e", "does not open"),
    "a list": ("[]", "does not open"),
    "a JWE without recipients": ("{}", "does not open"),
    "too large": ("x" * (MAX_JWE_BYTES + 1), f"at most {MAX_JWE_BYTES}"),
}


@pytest.mark.parametrize(("wrapped", "words"), BAD.values(), ids=BAD.keys())
def test_what_does_not_open(wrapped: str, words: str) -> None:
    with pytest.raises(VerificationError) as caught:
        unwrap_content_key(wrapped, _private("p256"), subject="x")
    assert words in str(caught.value)


def test_two_seals_share_nothing() -> None:
    first, second = (wrap_content_key(CONTENT, [_public("p256")]).split(".") for _ in range(2))
    assert not set(first) & set(second)
