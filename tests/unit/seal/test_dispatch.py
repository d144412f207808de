from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otagate.errors import KeyMaterialError, UsageError, VerificationError
from otagate.model import AppId, Bundle, Digest, Sealed, Version
from otagate.policy.model.bundles import SealFormat
from otagate.seal.capgo_open import open_capgo
from otagate.seal.dispatch import FORMATS, seal_bundle
from otagate.seal.gcm import open_gcm
from support.keys import golden, key
from support.releases import content_of, files

CLEAR = b"the clear zip"
FILES = files(index__html=b"x")
BUNDLE = Bundle(Digest.of(CLEAR), len(CLEAR), FILES, content_of(FILES), "c")
ENVIRON = {"RSA": golden().private_pem, "P256": key("p256_public"), "P384": key("p384_public")}


def _seal(folder: Path, **changes: Any) -> Sealed:
    (folder / "clear").write_bytes(CLEAR)
    given: dict[str, Any] = {
        "format": "capgo",
        "encryption_key": "env:RSA",
        "recipients": (),
        "bundle": BUNDLE,
        "app": AppId("a.b"),
        "version": Version("1.0.0"),
        "environ": ENVIRON,
        "base": folder,
    }
    return seal_bundle(folder / "clear", folder / "sealed", **(given | changes))


def test_every_format_of_the_policy_is_known() -> None:
    assert set(FORMATS) == {item.value for item in SealFormat}


def test_capgo(tmp_path: Path) -> None:
    sealed = _seal(tmp_path)
    found = open_capgo(
        tmp_path / "sealed",
        tmp_path / "opened",
        public_pem=golden().public_pem,
        session_key=str(sealed.session_key),
        checksum=str(sealed.checksum_hex),
    )
    assert found == BUNDLE.archive


@pytest.mark.parametrize("recipients", [("env:P256",), ("env:P256", "env:P384")])
def test_gcm(tmp_path: Path, recipients: tuple[str, ...]) -> None:
    sealed = _seal(tmp_path, format="aes-256-gcm", encryption_key=None, recipients=recipients)
    found = open_gcm(
        tmp_path / "sealed",
        tmp_path / "opened",
        wrapped_key=str(sealed.wrapped_key),
        private_key=key("p256"),
        iv=str(sealed.iv),
        additional_data=str(sealed.additional_data),
    )
    assert found == BUNDLE.archive


def test_none_keeps_the_bytes(tmp_path: Path) -> None:
    sealed = _seal(tmp_path, format="none", encryption_key=None)
    assert sealed == Sealed("none", BUNDLE.archive, len(CLEAR))
    assert (tmp_path / "sealed").read_bytes() == CLEAR


@pytest.mark.parametrize("seal", FORMATS)
def test_other_bytes_than_vetted_are_never_sealed(tmp_path: Path, seal: str) -> None:
    other = Bundle(Digest.of(b"vetted"), 6, FILES, BUNDLE.content, "c")
    with pytest.raises(VerificationError):
        _seal(tmp_path, format=seal, bundle=other, recipients=("env:P256",))
    assert not (tmp_path / "sealed").exists()


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"encryption_key": None}, "seal.encryption_key"),
        ({"encryption_key": "env:NONE"}, "env:NONE"),
        ({"encryption_key": "file:none.pem"}, "none.pem"),
        ({"encryption_key": "env:P256"}, "env:P256"),
        ({"format": "aes-256-gcm"}, "seal.recipients"),
        ({"format": "aes-256-gcm", "recipients": ("env:RSA",)}, "env:RSA"),
        ({"format": "aes-256-gcm", "recipients": ("env:P256", "env:NONE")}, "env:NONE"),
    ],
)
def test_a_missing_or_wrong_key_is_an_error_and_never_less_of_a_seal(tmp_path: Path, changes: Any, subject: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        _seal(tmp_path, **changes)
    assert subject in str(caught.value.subject)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear"]


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError, match="otagate keys create"):
        _seal(tmp_path, encryption_key=None)


@pytest.mark.parametrize("seal", ["", "CAPGO", "aes-128-cbc"])
def test_an_unknown_format_is_refused(tmp_path: Path, seal: str) -> None:
    with pytest.raises(UsageError) as caught:
        _seal(tmp_path, format=seal)
    assert caught.value.expected == "capgo or aes-256-gcm or none"
