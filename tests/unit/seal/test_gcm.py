from __future__ import annotations

import ast
import base64
import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import otagate.seal
from otagate.errors import KeyMaterialError, NotFoundError, OtagateError, VerificationError
from otagate.model import AppId, Digest, Sealed, Version
from otagate.seal import gcm
from otagate.seal._streams import CHUNK
from otagate.seal.gcm import additional_data, open_gcm, seal_gcm
from otagate.seal.recipients import load_recipient, load_recipient_private, unwrap_content_key, wrap_content_key
from support.keys import key

APP, VERSION, CONTENT = AppId("com.example.app"), Version("1.0.0"), Digest.of(b"manifest")
RECIPIENT = load_recipient(key("p256_public"), "r")
BOUND = additional_data(APP, VERSION, CONTENT)


def _source(folder: Path, data: bytes) -> Path:
    path = folder / "clear.zip"
    path.write_bytes(data)
    return path


def _seal(folder: Path, data: bytes) -> Sealed:
    return seal_gcm(
        _source(folder, data),
        folder / "sealed",
        [RECIPIENT],
        clear=Digest.of(data),
        app=APP,
        version=VERSION,
        content=CONTENT,
    )


def _open(folder: Path, sealed: Sealed, private: str = "p256") -> Digest:
    return open_gcm(
        folder / "sealed",
        folder / "opened",
        wrapped_key=str(sealed.wrapped_key),
        private_key=key(private),
        iv=str(sealed.iv),
        additional_data=str(sealed.additional_data),
    )


def _key(sealed: Sealed) -> bytes:
    return unwrap_content_key(str(sealed.wrapped_key), load_recipient_private(key("p256"), "k"), subject="x")


def _nonce(sealed: Sealed) -> bytes:
    return base64.urlsafe_b64decode(str(sealed.iv))


@pytest.mark.parametrize("length", [0, 1, 16, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_another_implementation_opens_it(tmp_path: Path, length: int) -> None:
    data = hashlib.shake_128(b"x").digest(length)
    sealed = _seal(tmp_path, data)
    stored = (tmp_path / "sealed").read_bytes()
    assert (sealed.blob, sealed.size) == (Digest.of(stored), length + 16)
    # The library's one-shot interface, as WebCrypto: ciphertext, then tag.
    assert AESGCM(_key(sealed)).decrypt(_nonce(sealed), stored, BOUND.encode()) == data


@pytest.mark.parametrize("length", [0, 1, 16, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_any_length_comes_back(tmp_path: Path, length: int) -> None:
    data = hashlib.shake_128(b"x").digest(length)
    assert _open(tmp_path, _seal(tmp_path, data)) == Digest.of(data)
    assert (tmp_path / "opened").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "opened").stat().st_mode) == 0o600


def test_a_vector_of_the_mode(tmp_path: Path) -> None:
    # Source: McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 16.
    secret = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    clear = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    bound, nonce = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), bytes.fromhex("cafebabefacedbaddecaf888")
    stored = bytes.fromhex(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
    )
    with _source(tmp_path, clear).open("rb") as reader, (tmp_path / "sealed").open("wb") as writer:
        assert gcm._encrypt(reader, writer, secret, nonce, bound) == (Digest.of(clear), Digest.of(stored), len(stored))
    assert (tmp_path / "sealed").read_bytes() == stored
    with (tmp_path / "sealed").open("rb") as reader, (tmp_path / "opened").open("wb") as writer:
        assert gcm._decrypt(reader, writer, secret, nonce, bound, subject="x") == Digest.of(clear)
    assert (tmp_path / "opened").read_bytes() == clear


def test_the_seal_says_what_it_binds(tmp_path: Path) -> None:
    sealed = _seal(tmp_path, b"x")
    assert sealed.format == "aes-256-gcm"
    assert json.loads(str(sealed.additional_data)) == {
        "app": "com.example.app",
        "version": "1.0.0",
        "manifest": str(CONTENT),
    }
    assert len(_nonce(sealed)) == 12
    assert len(_key(sealed)) == 32
    assert (sealed.session_key, sealed.checksum_hex, sealed.key_id) == (None, None, None)


def test_neither_nonce_nor_key_returns(tmp_path: Path) -> None:
    seals = [_seal(tmp_path, b"x") for _ in range(50)]
    assert len({_nonce(sealed) for sealed in seals}) == 50
    assert len({_key(sealed) for sealed in seals}) == 50


def _bits(text: str, at: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[at] ^= 1
    return base64.urlsafe_b64encode(raw).decode()


def _refused(folder: Path, sealed: Sealed) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(VerificationError):
        _open(folder, sealed)
    assert sorted(folder.iterdir()) == before


def test_every_byte_of_ciphertext_and_tag_counts(tmp_path: Path) -> None:
    sealed = _seal(tmp_path, b"x" * 20)
    good = (tmp_path / "sealed").read_bytes()
    for at in range(len(good)):
        (tmp_path / "sealed").write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        _refused(tmp_path, sealed)


@pytest.mark.parametrize("at", range(12))
def test_every_byte_of_the_nonce_counts(tmp_path: Path, at: int) -> None:
    sealed = _seal(tmp_path, b"x")
    _refused(tmp_path, replace(sealed, iv=_bits(str(sealed.iv), at)))


@pytest.mark.parametrize(
    "bound",
    [
        "",
        BOUND + " ",
        BOUND.replace("1.0.0", "1.0.1"),
        additional_data(AppId("com.example.other"), VERSION, CONTENT),
        additional_data(APP, Version("2.0.0"), CONTENT),
        additional_data(APP, VERSION, Digest.of(b"other")),
    ],
)
def test_a_seal_is_of_one_release_only(tmp_path: Path, bound: str) -> None:
    _refused(tmp_path, replace(_seal(tmp_path, b"x"), additional_data=bound))


@pytest.mark.parametrize("iv", ["", "AAAA", "A" * 16 + "=", "A" * 15 + "B=", "!" * 16, "A" * 32, "é"])
def test_other_nonces_are_refused(tmp_path: Path, iv: str) -> None:
    _refused(tmp_path, replace(_seal(tmp_path, b"x"), iv=iv))


def test_another_content_key_does_not_open(tmp_path: Path) -> None:
    _refused(tmp_path, replace(_seal(tmp_path, b"x"), wrapped_key=wrap_content_key(bytes(32), [RECIPIENT])))


def _swapped(data: bytes) -> bytes:
    return data[16:32] + data[:16] + data[32:]


@pytest.mark.parametrize(
    "change",
    [lambda d: d[:0], lambda d: d[:15], lambda d: d[:16], lambda d: d[:-1], lambda d: d[1:], lambda d: d + b"\0", _swapped],
)
def test_cut_lengthened_and_swapped_bundles_are_refused(tmp_path: Path, change: Any) -> None:
    sealed = _seal(tmp_path, bytes(range(64)))
    (tmp_path / "sealed").write_bytes(change((tmp_path / "sealed").read_bytes()))
    _refused(tmp_path, sealed)


@pytest.mark.parametrize(
    ("private", "kind"), [("p384", VerificationError), ("rsa2048", VerificationError), ("p256_public", KeyMaterialError)]
)
def test_only_the_recipient_opens_it(tmp_path: Path, private: str, kind: type[OtagateError]) -> None:
    sealed = _seal(tmp_path, b"x")
    with pytest.raises(kind):
        _open(tmp_path, sealed, private)
    assert not (tmp_path / "opened").exists()


def test_what_is_at_the_target_stays_when_the_tag_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "opened").write_text("before")
    _refused(tmp_path, replace(_seal(tmp_path, b"x"), additional_data="{}"))
    assert (tmp_path / "opened").read_text() == "before"


def test_a_file_that_changed_after_it_was_vetted_is_not_sealed(tmp_path: Path) -> None:
    source = _source(tmp_path, b"changed")
    with pytest.raises(VerificationError, match="changed while it was sealed"):
        seal_gcm(source, tmp_path / "s", [RECIPIENT], clear=Digest.of(b"vetted"), app=APP, version=VERSION, content=CONTENT)
    assert not (tmp_path / "s").exists()


def test_a_seal_that_nobody_could_open_is_an_error(tmp_path: Path) -> None:
    source = _source(tmp_path, b"x")
    with pytest.raises(KeyMaterialError) as caught:
        seal_gcm(source, tmp_path / "s", [], clear=Digest.of(b"x"), app=APP, version=VERSION, content=CONTENT)
    assert caught.value.subject == "seal.recipients"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    sealed = _seal(tmp_path, b"x")
    (tmp_path / "sealed").unlink()
    with pytest.raises(NotFoundError):
        _open(tmp_path, sealed)


def test_no_other_module_makes_gcm_ciphertexts() -> None:
    """A second place that encrypts is a second place that could repeat a nonce."""
    users = []
    for path in Path(otagate.seal.__path__[0]).parent.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        names |= {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        if names & {"GCM", "AESGCM", "ChaCha20Poly1305"}:
            users.append(path.name)
    assert users == ["gcm.py"]
