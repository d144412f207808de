from __future__ import annotations

import base64
import hashlib
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.errors import KeyMaterialError, NotFoundError, OtagateError, UsageError, VerificationError
from otagate.model import Digest, Sealed
from otagate.seal import capgo
from otagate.seal._streams import CHUNK
from otagate.seal.capgo import seal_capgo
from otagate.seal.capgo_open import checksum_for_plugin, open_capgo
from otagate.seal.loading import load_rsa_private
from support.keys import golden, key

KEY = load_rsa_private(golden().private_pem, "k")
OLD = "before"


def _source(folder: Path, data: bytes) -> Path:
    path = folder / "clear.zip"
    path.write_bytes(data)
    return path


def _seal(folder: Path, data: bytes) -> Sealed:
    return seal_capgo(_source(folder, data), folder / "sealed", KEY, clear=Digest.of(data))


def _open(folder: Path, sealed: Sealed, **changes: str) -> Digest:
    given = {"public_pem": golden().public_pem, "session_key": str(sealed.session_key), "checksum": str(sealed.checksum_hex)}
    return open_capgo(folder / "sealed", folder / "opened", **(given | changes))


def test_byte_for_byte_as_the_vectors(tmp_path: Path) -> None:
    source, vector = _source(tmp_path, golden().zip), golden()
    sealed = capgo._seal(
        source, tmp_path / "sealed", KEY, clear=Digest(vector.sha256), iv=vector.iv, session_key=vector.session_key
    )
    assert (tmp_path / "sealed").read_bytes() == vector.ciphertext
    assert sealed == Sealed(
        format="capgo",
        blob=Digest.of(vector.ciphertext),
        size=len(vector.ciphertext),
        session_key=vector.iv_session_key,
        checksum_hex=vector.checksum_hex,
        checksum_base64=vector.checksum_base64,
        key_id=vector.key_id,
    )


@pytest.mark.parametrize("encoding", ["checksum_hex", "checksum_base64"])
def test_the_vectors_open_with_either_checksum(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "sealed").write_bytes(golden().ciphertext)
    found = open_capgo(
        tmp_path / "sealed",
        tmp_path / "opened",
        public_pem=golden().public_pem,
        session_key=golden().iv_session_key,
        checksum=getattr(golden(), encoding),
    )
    assert found == Digest(golden().sha256)
    assert (tmp_path / "opened").read_bytes() == golden().zip


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_any_length_comes_back(tmp_path: Path, length: int) -> None:
    data = hashlib.shake_128(b"x").digest(length)
    sealed = _seal(tmp_path, data)
    stored = (tmp_path / "sealed").read_bytes()
    assert sealed.size == len(stored) == (length // 16 + 1) * 16
    assert sealed.blob == Digest.of(stored)
    assert _open(tmp_path, sealed) == Digest.of(data)
    assert (tmp_path / "opened").read_bytes() == data


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=200))
def test_any_content_comes_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    sealed = _seal(folder, data)
    assert _open(folder, sealed, checksum=str(sealed.checksum_base64)) == Digest.of(data)


def test_neither_iv_nor_key_returns(tmp_path: Path) -> None:
    seen = set()
    for _ in range(50):
        text = str(_seal(tmp_path, b"x").session_key)
        seen |= set(text.split(":"))
    assert len(seen) == 100


def test_a_file_that_changed_after_it_was_vetted_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "sealed").write_text(OLD)
    source = _source(tmp_path, b"changed")
    with pytest.raises(VerificationError) as caught:
        seal_capgo(source, tmp_path / "sealed", KEY, clear=Digest.of(b"vetted"))
    assert caught.value.what == "the bundle changed while it was sealed"
    assert (tmp_path / "sealed").read_text() == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear.zip", "sealed"]


@pytest.mark.parametrize(("missing", "kind"), [("source", NotFoundError), ("target", NotFoundError)])
def test_missing_files_are_named(tmp_path: Path, missing: str, kind: type[OtagateError]) -> None:
    source = tmp_path / "no" if missing == "source" else _source(tmp_path, b"x")
    target = tmp_path / "no" / "sealed" if missing == "target" else tmp_path / "sealed"
    with pytest.raises(kind) as caught:
        seal_capgo(source, target, KEY, clear=Digest.of(b"x"))
    assert "/no" in str(caught.value.subject)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        seal_capgo(tmp_path, tmp_path / "sealed", KEY, clear=Digest.of(b"x"))


def test_a_file_may_be_sealed_in_place(tmp_path: Path) -> None:
    path = _source(tmp_path, b"clear")
    sealed = seal_capgo(path, path, KEY, clear=Digest.of(b"clear"))
    assert Digest.of(path.read_bytes()) == sealed.blob


def test_opened_bytes_are_for_their_owner_only(tmp_path: Path) -> None:
    _open(tmp_path, _seal(tmp_path, b"x"))
    assert stat.S_IMODE((tmp_path / "opened").stat().st_mode) == 0o600


def _wrapped(message: bytes) -> bytes:
    return KEY.sign(message, padding.PKCS1v15(), utils.NoDigestInfo())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


IV = _b64(bytes(16))
BAD: dict[str, dict[str, str]] = {
    "no session key": {"session_key": ""},
    "one part": {"session_key": IV},
    "three parts": {"session_key": f"{IV}:{_b64(_wrapped(bytes(16)))}:"},
    "an iv of 15 bytes": {"session_key": f"{_b64(bytes(15))}:{_b64(_wrapped(bytes(16)))}"},
    "an iv that is no base64": {"session_key": f"!!!!:{_b64(_wrapped(bytes(16)))}"},
    "a key of 32 bytes": {"session_key": f"{IV}:{_b64(_wrapped(bytes(32)))}"},
    "a key that is not wrapped": {"session_key": f"{IV}:{_b64(bytes(16))}"},
    "a wrapped key of zeros": {"session_key": f"{IV}:{_b64(bytes(256))}"},
    "another key": {"session_key": f"{IV}:{_b64(_wrapped(bytes(16)))}"},
    "no checksum": {"checksum": ""},
    "a plain sha256": {"checksum": hashlib.sha256(b"clear").hexdigest()},
    "a checksum of 255 bytes in hex": {"checksum": "00" * 255},
    "an odd number of hex digits": {"checksum": "0" * 511},
    "a checksum of 255 bytes in base64": {"checksum": _b64(b"\xff" * 255)},
    "a checksum of zeros": {"checksum": "00" * 256},
    "a checksum that is no base64": {"checksum": "?"},
    "the checksum of another bundle": {"checksum": _wrapped(hashlib.sha256(b"other").digest()).hex()},
    "a wrapped CRC32": {"checksum": _wrapped(b"\0\1\2\3").hex()},
    "48 bytes that are no digest": {"checksum": _b64(_wrapped(b"\xff" * 48))},
    "a hex payload in base64": {"checksum": _b64(_wrapped(hashlib.sha256(b"clear").digest()))},
    "another public key": {"public_pem": key("rsa2048_public_pkcs1")},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_what_does_not_fit_leaves_no_clear_bytes(tmp_path: Path, changes: Any) -> None:
    sealed = _seal(tmp_path, b"clear")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(VerificationError) as caught:
        _open(tmp_path, sealed, **changes)
    assert caught.value.subject == str(tmp_path / "sealed")
    assert caught.value.expected or caught.value.remedy
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "change", [lambda d: d[:0], lambda d: d[:-1], lambda d: d[:-16], lambda d: d + bytes(16), lambda d: d + b"\0"]
)
def test_cut_and_lengthened_bundles_are_refused(tmp_path: Path, change: Any) -> None:
    sealed = _seal(tmp_path, b"x" * 100)
    (tmp_path / "sealed").write_bytes(change((tmp_path / "sealed").read_bytes()))
    with pytest.raises(VerificationError):
        _open(tmp_path, sealed)
    assert not (tmp_path / "opened").exists()


def test_every_bit_of_the_bundle_counts(tmp_path: Path) -> None:
    sealed = _seal(tmp_path, b"x" * 20)
    good = (tmp_path / "sealed").read_bytes()
    for at in range(len(good)):
        (tmp_path / "sealed").write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(VerificationError):
            _open(tmp_path, sealed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear.zip", "sealed"]


@pytest.mark.parametrize("name", ["rsa1024_public", "rsa3072_public", "rsa4096_public", "p256_public", "rsa2048"])
def test_keys_that_devices_refuse_are_refused_here(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyMaterialError):
        _open(tmp_path, _seal(tmp_path, b"x"), public_pem=key(name))


SEALED = Sealed("capgo", Digest.of(b""), 0, session_key="x", checksum_hex="hex", checksum_base64="base64")
PLUGINS = {
    "5.0.0": "base64",
    "5.29.9": "base64",
    "5.30.0": "hex",
    "5.50.2": "hex",
    "6.2.0": "base64",
    "6.29.0": "base64",
    "6.30.0": "hex",
    "6.51.16": "hex",
    "7.0.50": "base64",
    "7.29.99": "base64",
    "7.30.0": "hex",
    "7.30.0-beta.1": "hex",
    "7.51.21": "hex",
    "8.0.0": "hex",
    "8.0": "hex",
    "8.51.23": "hex",
    "9.0.0": "hex",
    "10.0.0": "hex",
}


@pytest.mark.parametrize(("plugin", "encoding"), PLUGINS.items())
def test_each_plugin_gets_the_checksum_that_it_reads(plugin: str, encoding: str) -> None:
    assert checksum_for_plugin(SEALED, plugin) == encoding


@pytest.mark.parametrize(
    "plugin", ["", "8", "4.15.0", "0.0.0", "v8.0.0", "8.x", "8.0.0 ", "8.0.0\n", "٨.0.0", "8.0." + "1" * 100]
)
def test_what_is_no_plugin_version_is_refused(plugin: str) -> None:
    with pytest.raises(UsageError):
        checksum_for_plugin(SEALED, plugin)


def test_an_unsealed_bundle_has_its_plain_digest() -> None:
    assert checksum_for_plugin(Sealed("none", Digest.of(b"x"), 1), "8.51.23") == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("sealed", [replace(SEALED, format="aes-256-gcm"), replace(SEALED, checksum_hex=None)])
def test_a_seal_that_no_plugin_opens_has_no_checksum(sealed: Sealed) -> None:
    with pytest.raises(OtagateError):
        checksum_for_plugin(sealed, "8.51.23")
