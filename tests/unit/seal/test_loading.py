from __future__ import annotations

import base64
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from otagate.errors import KeyMaterialError
from otagate.seal.loading import (
    key_id,
    load_ed25519_private,
    load_rsa_private,
    load_rsa_public,
    rsa_public_pem_pkcs1,
)
from support.keys import golden, key, signer


@pytest.mark.parametrize("name", ["rsa2048", "rsa2048_pkcs8"])
def test_both_forms_of_an_rsa_key_give_the_same_public_part(name: str) -> None:
    assert rsa_public_pem_pkcs1(load_rsa_private(key(name), "k")) == key("rsa2048_public_pkcs1")


@pytest.mark.parametrize("name", ["rsa2048_public", "rsa2048_public_pkcs1"])
def test_both_forms_of_a_public_key_are_read(name: str) -> None:
    assert rsa_public_pem_pkcs1(load_rsa_public(key(name), "k")) == key("rsa2048_public_pkcs1")


def test_public_pem_and_key_id_are_those_of_the_vectors() -> None:
    public = rsa_public_pem_pkcs1(load_rsa_private(golden().private_pem, "k"))
    assert public == golden().public_pem
    assert key_id(public) == golden().key_id


def test_an_ed25519_key_loads() -> None:
    raw = load_ed25519_private(key("ed25519"), "k").public_key().public_bytes_raw()
    assert raw == signer().public_key().raw


WRONG_RSA = {
    "rsa1024": "RSA-1024",
    "rsa3072": "RSA-3072",
    "rsa4096": "RSA-4096",
    "rsa2048e3": "exponent 3",
    "rsa2048_public": "a PUBLIC KEY",
    "rsa2048_public_pkcs1": "a RSA PUBLIC KEY",
    "rsa2048_encrypted": "an encrypted key",
    "rsa2048_encrypted_pkcs1": "an encrypted key",
    "p256": "of the kind EC",
    "p256_sec1": "of the kind EC",
    "ed25519": "of the kind Ed25519",
    "ed448": "of the kind Ed448",
    "x25519": "of the kind X25519",
    "ed25519_openssh": "OpenSSH",
}


@pytest.mark.parametrize(("name", "words"), WRONG_RSA.items(), ids=WRONG_RSA.keys())
def test_only_rsa_2048_seals(name: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        load_rsa_private(key(name), "env:OTAGATE_ENCRYPTION_KEY")
    assert words in str(caught.value.found)
    assert caught.value.subject == "env:OTAGATE_ENCRYPTION_KEY"
    assert caught.value.remedy
    _shows_nothing(caught.value, key(name))


WRONG_ED25519 = {
    "ed25519_public": "a PUBLIC KEY",
    "rsa2048": "of the kind RSA",
    "p256": "of the kind EC",
    "ed448": "of the kind Ed448",
    "x25519": "of the kind X25519",
    "ed25519_openssh": "OpenSSH",
    "rsa2048_encrypted": "an encrypted key",
}


@pytest.mark.parametrize(("name", "words"), WRONG_ED25519.items(), ids=WRONG_ED25519.keys())
def test_only_ed25519_signs(name: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        load_ed25519_private(key(name), "env:OTAGATE_SIGNING_KEY")
    assert words in str(caught.value.found)
    _shows_nothing(caught.value, key(name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rsa4096_public", "RSA-4096"),
        ("rsa1024_public", "RSA-1024"),
        ("rsa2048e3_public", "exponent 3"),
        ("p256_public", "of the kind EC"),
        ("ed25519_public", "of the kind Ed25519"),
        ("rsa2048", "a private key"),
    ],
)
def test_only_rsa_2048_opens(name: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        load_rsa_public(key(name), "the public key")
    assert words in str(caught.value.found)
    _shows_nothing(caught.value, key(name))


def _damaged(pem: str) -> str:
    lines = pem.splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[5] ^= 0xFF
    return "\n".join([lines[0], base64.b64encode(der).decode(), lines[-1]])


@pytest.mark.parametrize(
    ("load", "name"),
    [(load_rsa_private, "rsa2048"), (load_ed25519_private, "ed25519"), (load_rsa_public, "rsa2048_public_pkcs1")],
)
def test_a_damaged_key_is_told(load: Any, name: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        load(_damaged(key(name)), "k")
    assert caught.value.what == "the key cannot be read"
    assert caught.value.__cause__ is None
    _shows_nothing(caught.value, _damaged(key(name)))


def test_a_certificate_is_no_key() -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    with pytest.raises(KeyMaterialError, match="a CERTIFICATE"):
        load_rsa_private(text, "k")


def test_an_ed25519_key_of_version_2_loads() -> None:
    # RFC 8410, section 10.3: the form with the public key inside, as other tools write it.
    raw = load_ed25519_private(key("ed25519"), "k").private_bytes_raw()
    public = signer().public_key().raw
    der = bytes.fromhex("3053020101300506032b657004220420") + raw + bytes.fromhex("a123032100") + public
    pem = f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"
    try:
        loaded = load_ed25519_private(pem, "k")
    except KeyMaterialError as error:
        assert error.what == "the key cannot be read"  # noqa: PT017 - either answer is right, a traceback is not
    else:
        assert loaded.private_bytes_raw() == raw


def _shows_nothing(error: KeyMaterialError, pem: str) -> None:
    body = pem.splitlines()[1:-1]
    told = "".join(traceback.format_exception(error)) + repr(error)
    assert not [line for line in body if len(line) > 20 and line in told]


def test_the_text_form_of_a_loaded_key_shows_nothing() -> None:
    loaded = load_rsa_private(golden().private_pem, "k")
    secret = loaded.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).hex()
    assert secret[100:140] not in repr(loaded)
