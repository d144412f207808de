from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import KeyMaterialError
from otagate.fleet import cipher
from otagate.fleet.cipher import CipherError
from otagate.fleet.generations import generation

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "capgo-golden.json").read_text())
PEM = GOLDEN["public_pem"]
SEALED = base64.b64decode(GOLDEN["ciphertext_b64"])
NEW, OLD = generation("8.51.23"), generation("7.0.50")


def test_golden_bytes_open() -> None:
    assert cipher.decrypt(SEALED, GOLDEN["iv_session_key"], PEM) == base64.b64decode(GOLDEN["zip_b64"])
    assert cipher.content_key(GOLDEN["iv_session_key"], PEM) == (
        bytes.fromhex(GOLDEN["iv_hex"]),
        bytes.fromhex(GOLDEN["session_key_hex"]),
    )
    assert cipher.key_id(PEM) == GOLDEN["key_id"]


def test_each_generation_reads_its_own_checksum_and_not_the_other() -> None:
    digest = GOLDEN["sha256"]
    assert cipher.expected_checksum(GOLDEN["checksum_v3_hex"], PEM, NEW) == digest
    assert cipher.expected_checksum(GOLDEN["checksum_v2_b64"], PEM, OLD) == digest
    assert cipher.expected_checksum(GOLDEN["checksum_v2_b64"], PEM, NEW) != digest
    with pytest.raises(CipherError):
        cipher.expected_checksum(GOLDEN["checksum_v3_hex"], PEM, OLD)


@pytest.mark.parametrize(
    ("text", "version", "why"),
    [
        ("00" * 32, "8.51.23", "checksum is not encrypted"),
        ("00" * 32, "7.36.1", "RSA"),
        ("00" * 256, "8.51.23", "RSA"),
        ("!", "8.51.23", "base64"),
        ("abc", "8.51.23", "base64"),
        ("!", "7.0.50", "base64"),
    ],
)
def test_other_checksums_do_not_open(text: str, version: str, why: str) -> None:
    with pytest.raises(CipherError, match=why):
        cipher.expected_checksum(text, PEM, generation(version))


@pytest.mark.parametrize("text", ["", ":", "a", "a:", ":a", "a:b:c", None, 7])
def test_a_session_key_has_two_parts(text: object) -> None:
    assert not cipher.is_session_key(text)
    if isinstance(text, str):
        with pytest.raises(CipherError):
            cipher.decrypt(SEALED, text, PEM)


def test_a_session_key_has_sixteen_bytes_each() -> None:
    iv, wrapped = GOLDEN["iv_session_key"].split(":")
    short = base64.b64encode(b"short").decode()
    with pytest.raises(CipherError, match="session key"):
        cipher.content_key(f"{short}:{wrapped}", PEM)
    with pytest.raises(CipherError, match="RSA"):
        cipher.content_key(f"{iv}:{short}", PEM)


@pytest.mark.parametrize("data", [b"", SEALED[:-1], SEALED[:-16], bytes(32)])
def test_what_is_cut_or_foreign_does_not_open(data: bytes) -> None:
    with pytest.raises(CipherError):
        cipher.decrypt(data, GOLDEN["iv_session_key"], PEM)


@pytest.mark.parametrize("change", ["PUBLIC KEY", "no key", "short"])
def test_other_keys_are_refused(change: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    kind, bits = (PublicFormat.SubjectPublicKeyInfo, 2048) if change == "PUBLIC KEY" else (PublicFormat.PKCS1, 1024)
    pem = rsa.generate_private_key(65537, bits).public_key().public_bytes(Encoding.PEM, kind).decode()
    if change == "no key":
        pem = "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n"
    with pytest.raises(KeyMaterialError):
        cipher.public_key(pem)
