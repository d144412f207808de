"""Whom to believe. Trust comes from the policy, never from what is being checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from otagate.errors import KeyMaterialError
from otagate.seal.ed25519 import public_key
from otagate.seal.interface import PublicKey
from otagate.seal.pem import encode, holds_private, read_pem
from otagate.seal.references import read_reference

_PREFIX = "ed25519:"
# Source: RFC 8410, section 4: SubjectPublicKeyInfo of id-Ed25519 is this, then the 32 bytes of the key.
_SPKI = bytes.fromhex("302a300506032b6570032100")
_FORMS = "ed25519:<base64 of 32 bytes>, a PEM public key, or env:/file: of either"


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """The keys whose signatures count, each once; never empty.

    Raises:
        KeyMaterialError: No key at all: nothing could be verified, and that must not look like success.
    """

    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise KeyMaterialError(
                "no key is trusted, so nothing can be verified",
                "trust.keys",
                expected="at least one public key",
                remedy="add the line that `otagate keys show` prints to trust.keys in the policy",
            )
        object.__setattr__(self, "keys", tuple({key.raw: key for key in self.keys}.values()))


def parse_public_key(text: str, *, environ: Mapping[str, str], base: Path) -> PublicKey:
    """Read an ed25519 public key.

    Args:
        text: ``ed25519:<base64>``, PEM text (SubjectPublicKeyInfo), or ``env:``/``file:`` of either.
        environ: Environment variables, for ``env:``.
        base: Folder for relative ``file:`` paths.

    Raises:
        KeyMaterialError: Missing, another kind of key, a private key (never shown), damaged, or an unsafe point.
        AccessError: The file may not be read.
    """
    if text.startswith(("env:", "file:")):
        subject = text
        return _parse(read_reference(text, environ=environ, base=base), subject)
    return _parse(text, "trust.keys")


def load_trusted(texts: Iterable[str], *, environ: Mapping[str, str], base: Path) -> TrustedKeys:
    """Read all trusted keys; see :func:`parse_public_key`.

    Raises:
        KeyMaterialError: As there, or when there are none.
        AccessError: As there.
    """
    return TrustedKeys(tuple(parse_public_key(text, environ=environ, base=base) for text in texts))


def trust_line(key: PublicKey) -> str:
    """Write a key as ``trust.keys`` takes it: ``ed25519:<base64 of 32 bytes>``."""
    return _PREFIX + base64.b64encode(key.raw).decode()


def public_pem(key: PublicKey) -> str:
    """Write a key as PEM (SubjectPublicKeyInfo)."""
    return encode("PUBLIC KEY", _SPKI + key.raw)


def _parse(text: str, subject: str) -> PublicKey:
    plain = text.strip()
    if plain.startswith(_PREFIX):
        return public_key(_raw(plain.removeprefix(_PREFIX), subject), subject)
    if holds_private(plain):
        raise KeyMaterialError(
            "this is a private key where a public one is needed",
            subject,
            expected=_FORMS,
            remedy="use the .pub.pem file beside it; if the private key was written into a policy or a log, make a new one",
        )
    pem = read_pem(plain, subject)
    if pem.label != "PUBLIC KEY" or not pem.der.startswith(_SPKI):
        found = f"a {pem.label}" if pem.label != "PUBLIC KEY" else "a public key of another kind"
        raise KeyMaterialError("this is not an ed25519 public key", subject, expected=_FORMS, found=found)
    return public_key(pem.der.removeprefix(_SPKI), subject)


def _raw(text: str, subject: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise KeyMaterialError("this is not an ed25519 public key", subject, expected=_FORMS, found="no base64") from error
