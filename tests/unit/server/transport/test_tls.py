from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from otagate.errors import KeyMaterialError
from otagate.server.transport.tls import Tls
from support.tls import self_signed


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return self_signed(tmp_path)[1]


def test_the_pin_is_that_of_the_public_key(pem: Path) -> None:
    key = load_pem_private_key(pem.read_bytes(), None)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert Tls(pem).pin() == "sha256/" + base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1)])
def test_a_key_that_others_may_read_is_warned_about(pem: Path, mode: int, count: int) -> None:
    pem.chmod(mode)
    found = Tls(pem, pem).warnings()
    assert len(found) == count
    assert all("chmod 600" in text for text in found)


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(pem: Path, tmp_path: Path) -> None:
    tls = Tls(pem)
    context, first = tls.context, tls.pin()
    (tmp_path / "new").mkdir()
    shutil.copy(self_signed(tmp_path / "new")[1], pem)
    tls.reload()
    assert tls.context is context
    assert tls.pin() != first
    pem.write_text("half a certificate")
    with pytest.raises(KeyMaterialError, match="TLS certificate"):
        tls.reload()


def test_files_that_do_not_hold_are_named(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = self_signed(tmp_path / "other")[1]
    empty = tmp_path / "empty.pem"
    empty.touch()
    locked = tmp_path / "locked.pem"
    key = load_pem_private_key(pem.read_bytes(), None)
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    cases: list[tuple[Path, Path | None]] = [
        (pem, other),
        (empty, None),
        (pem, locked),
        (tmp_path / "none.pem", None),
        (pem, tmp_path / "none"),
    ]
    for cert, given in cases:
        with pytest.raises(KeyMaterialError) as caught:
            Tls(cert, given)
        assert caught.value.remedy


def test_old_ways_of_tls_are_off(pem: Path) -> None:
    names = {str(cipher["name"]) for cipher in Tls(pem).context.get_ciphers()}
    assert names
    assert all("GCM" in name or "POLY1305" in name for name in names)
    assert all(name.startswith(("TLS_", "ECDHE-")) for name in names)
    assert Tls(pem).context.minimum_version.name == "TLSv1_2"
