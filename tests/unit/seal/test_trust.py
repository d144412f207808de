from __future__ import annotations

import base64
import traceback
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import KeyMaterialError
from otagate.seal.interface import PublicKey
from otagate.seal.trust import TrustedKeys, load_trusted, parse_public_key, public_pem, trust_line
from support.keys import key, signer, trusting

OWN = signer().public_key()


def _parse(text: str, environ: dict[str, str] | None = None, base: Path = Path("/nowhere")) -> PublicKey:
    return parse_public_key(text, environ=environ or {}, base=base)


@pytest.mark.parametrize(
    "text",
    [
        trust_line(OWN),
        f"  {trust_line(OWN)}\n",
        key("ed25519_public"),
        key("ed25519_public").replace("\n", "\\n"),
        key("ed25519_public").replace("\n", " "),
        key("ed25519_public").replace("\n", "\r\n"),
        base64.b64encode(key("ed25519_public").encode()).decode(),
        f'"{key("ed25519_public")}"',
    ],
)
def test_every_form_gives_the_same_key(text: str, tmp_path: Path) -> None:
    (tmp_path / "k.pub").write_text(text)
    assert _parse(text) == OWN
    assert _parse("env:PUB", {"PUB": text}) == OWN
    assert _parse("file:k.pub", base=tmp_path) == OWN


def test_our_own_pem_is_that_of_the_library() -> None:
    assert public_pem(OWN) == key("ed25519_public")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ed25519:", "0 bytes"),
        ("ed25519:AAAA", "3 bytes"),
        ("ed25519:!!!!", "no base64"),
        ("ed25519:é", "no base64"),
        ("ed25519:" + base64.b64encode(bytes(64)).decode(), "64 bytes"),
        ("ed25519:" + base64.b64encode(bytes(32)).decode(), "small or mixed order"),
        ("", "without -----BEGIN"),
        ("AAAAC3NzaC1lZDI1NTE5AAAA", "without -----BEGIN"),
        (key("p256_public"), "another kind"),
        (key("ed448_public"), "another kind"),
        (key("x25519_public"), "another kind"),
        (key("rsa2048_public"), "another kind"),
        (key("rsa2048_public_pkcs1"), "RSA PUBLIC KEY"),
        (key("ed25519_public") * 2, "2 keys"),
        (key("ed25519_public")[:60], "without a matching"),
    ],
)
def test_what_is_no_ed25519_public_key_is_refused(text: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        _parse(text)
    assert words in str(caught.value)
    assert caught.value.subject == "trust.keys"


@pytest.mark.parametrize("name", ["ed25519", "rsa2048", "p256_sec1", "ed25519_openssh"])
@pytest.mark.parametrize(
    "shape", [str, lambda pem: pem.replace("\n", "\\n"), lambda pem: base64.b64encode(pem.encode()).decode()]
)
def test_a_private_key_in_a_public_slot_is_refused_and_never_shown(name: str, shape: Any) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        _parse(shape(key(name)))
    assert caught.value.what == "this is a private key where a public one is needed"
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert key(name).splitlines()[1] not in told


def test_trailing_bytes_after_the_key_are_refused() -> None:
    der = base64.b64decode("".join(key("ed25519_public").splitlines()[1:-1])) + b"\0"
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"
    with pytest.raises(KeyMaterialError):
        _parse(pem)


def test_nobody_trusted_is_an_error() -> None:
    with pytest.raises(KeyMaterialError) as caught:
        TrustedKeys(())
    assert caught.value.subject == "trust.keys"
    with pytest.raises(KeyMaterialError):
        load_trusted([], environ={}, base=Path())


def test_one_broken_key_breaks_the_whole_list() -> None:
    with pytest.raises(KeyMaterialError):
        load_trusted([trust_line(OWN), "ed25519:AAAA"], environ={}, base=Path())


def test_a_key_counts_once() -> None:
    assert len(TrustedKeys((OWN, OWN)).keys) == 1
    assert len(trusting("ed25519", "ed25519_other").keys) == 2


def test_a_list_keeps_its_order() -> None:
    other = signer("ed25519_other").public_key()
    assert load_trusted([trust_line(other), trust_line(OWN)], environ={}, base=Path()).keys == (other, OWN)
