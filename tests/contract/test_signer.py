"""What every signer must do, wherever its key lives. A new adapter joins by one line in ``SIGNERS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otagate.seal.dsse import sign_envelope, verify_envelope
from otagate.seal.ed25519 import is_signed, public_key
from otagate.seal.interface import Signer
from otagate.seal.registry import open_signer
from otagate.seal.trust import TrustedKeys
from support.keys import key

Open = Callable[[Path], Signer]


def _from_variable(folder: Path) -> Signer:
    return open_signer("env:KEY", environ={"KEY": key("ed25519")}, base=folder)


def _from_file(folder: Path) -> Signer:
    (folder / "signing.pem").write_text(key("ed25519"))
    (folder / "signing.pem").chmod(0o600)
    return open_signer("file:signing.pem", environ={}, base=folder)


SIGNERS: dict[str, Open] = {"env": _from_variable, "file": _from_file}


@pytest.fixture(params=list(SIGNERS.values()), ids=list(SIGNERS))
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Signer:
    opened: Signer = request.param(tmp_path)
    return opened


def test_the_public_part_is_a_safe_key_and_always_the_same(signer: Signer) -> None:
    own = signer.public_key()
    assert public_key(own.raw, "contract") == own
    assert signer.public_key() == own


@pytest.mark.parametrize("message", [b"", b"m", bytes(1), b"x" * 1_000_000], ids=len)
def test_a_signature_holds_for_its_message_only(signer: Signer, message: bytes) -> None:
    signature = signer.sign(message)
    assert len(signature) == 64
    assert is_signed(message, signature, signer.public_key())
    assert not is_signed(message + b"\0", signature, signer.public_key())


def test_signatures_are_deterministic(signer: Signer) -> None:
    # RFC 8032: no randomness goes in; the same statement twice is the same bytes.
    assert signer.sign(b"m") == signer.sign(b"m")


def test_an_envelope_of_it_verifies(signer: Signer) -> None:
    envelope = sign_envelope("text/plain", b"payload", signer)
    trusted = TrustedKeys((signer.public_key(),))
    assert verify_envelope(envelope, trusted, "text/plain", subject="x") == b"payload"


def test_no_text_form_shows_the_key(signer: Signer) -> None:
    secret = "".join(key("ed25519").splitlines()[1:-1])
    assert secret not in repr(signer) + str(signer)
    assert not any(secret in str(value) for value in vars(type(signer)).values())
