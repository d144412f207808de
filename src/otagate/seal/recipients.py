"""Who may open an AES-256-GCM seal: RSA and EC keys, from PEM or JWK, and the content key wrapped for them.

**Source:** RFC 7516 (JWE), RFC 7517 (JWK), RFC 7518 (RSA-OAEP-256, ECDH-ES+A256KW, A256GCM), RFC 7638 (thumbprint as ``kid``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from otagate import _canonical
from otagate.errors import KeyMaterialError, VerificationError
from otagate.seal import _base64url
from otagate.seal.pem import read_pem

CONTENT_KEY_BYTES = 32
MIN_RSA_BITS = 2048
MAX_JWE_BYTES = 256 * 1024
"""Largest wrapped key that is read; one with 100 recipients is about 70 KiB."""
_CURVES = ("P-256", "P-384", "P-521")
_ALGORITHMS = {"RSA": "RSA-OAEP-256", "EC": "ECDH-ES+A256KW"}
_ENCRYPTION = "A256GCM"
_PUBLIC_FIELDS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
_EXPECTED = f"an RSA key of at least {MIN_RSA_BITS} bits or an EC key on {', '.join(_CURVES)}, in PEM or JWK"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One key that can open a seal.

    Attributes:
        algorithm: How the content key is wrapped for it; follows from the key, never from a message.
        kid: RFC 7638 thumbprint of the public part.
        jwk: The key as jwcrypto holds it. Never shown.
    """

    algorithm: str
    kid: str
    jwk: Any = field(repr=False)


def load_recipient(text: str, subject: str) -> Recipient:
    """Load a recipient's public key.

    Raises:
        KeyMaterialError: Damaged, private, or of a kind that cannot be a recipient.
    """
    jwk = _load(text, subject)
    if jwk.has_private:
        remedy = "give the recipient's public key; whoever seals must not have the private one"
        raise KeyMaterialError("this is a private key where a public one is needed", subject, expected=_EXPECTED, remedy=remedy)
    return _recipient(jwk, subject)


def load_recipient_private(text: str, subject: str) -> Recipient:
    """Load the private key of a recipient, for opening.

    Raises:
        KeyMaterialError: Damaged, public, encrypted, or of a kind that cannot be a recipient.
    """
    jwk = _load(text, subject)
    if not jwk.has_private:
        raise KeyMaterialError("this is a public key where a private one is needed", subject, expected=_EXPECTED)
    return _recipient(jwk, subject)


def wrap_content_key(key: bytes, recipients: Sequence[Recipient]) -> str:
    """Wrap a content key for its recipients.

    Args:
        key: 32 bytes.
        recipients: At least one.

    Returns:
        A JWE whose plaintext is the JWK ``{"alg": "A256GCM", "k": …, "kty": "oct"}``: compact for one recipient, general JSON
        for several. Not the same twice.
    """
    from jwcrypto.jwe import JWE  # noqa: PLC0415 - heavy

    plaintext = _canonical.dumps({"kty": "oct", "k": _base64url.encode(key), "alg": _ENCRYPTION})
    shared = {"enc": _ENCRYPTION, "cty": "jwk+json"}
    if len(recipients) == 1:
        header = shared | {"alg": recipients[0].algorithm, "kid": recipients[0].kid}
        token = JWE(plaintext, json.dumps(header), recipient=recipients[0].jwk)
        return str(token.serialize(compact=True))
    token = JWE(plaintext, json.dumps(shared))
    for recipient in recipients:
        token.add_recipient(recipient.jwk, json.dumps({"alg": recipient.algorithm, "kid": recipient.kid}))
    return str(token.serialize())


def unwrap_content_key(wrapped: str, recipient: Recipient, *, subject: str) -> bytes:
    """Give the 32 bytes of a content key.

    Only the algorithm that belongs to the recipient's key is accepted, whatever the message asks for.

    Raises:
        VerificationError: Not a JWE, not for this recipient, tampered with, or something else is inside.
    """
    from jwcrypto.common import JWException  # noqa: PLC0415 - heavy
    from jwcrypto.jwe import JWE  # noqa: PLC0415 - heavy

    if len(wrapped) > MAX_JWE_BYTES:
        raise _broken(subject, f"at most {MAX_JWE_BYTES} characters", str(len(wrapped)))
    try:
        token = JWE(algs=[recipient.algorithm, _ENCRYPTION])
        token.deserialize(wrapped)
        # Compression says something about the plaintext, and can be a bomb; we never write it.
        if "zip" in json.loads(token.objects.get("protected", "{}")):
            raise _broken(subject, "an uncompressed content key", "'zip' in the header")
        token.decrypt(recipient.jwk)
        inside = _canonical.loads(token.payload)
    except (JWException, ValueError, TypeError, KeyError) as error:
        raise _broken(subject, "a content key wrapped for this recipient", "one that this key does not open") from error
    return _content_key(inside, subject)


def _content_key(inside: Any, subject: str) -> bytes:
    known = isinstance(inside, dict) and inside.get("kty") == "oct" and inside.get("alg") == _ENCRYPTION
    if not known or not isinstance(inside.get("k"), str):
        raise _broken(subject, f"a JWK of kty oct and alg {_ENCRYPTION} with a key", "something else")
    try:
        key = _base64url.decode(inside["k"])
    except ValueError as error:
        raise _broken(subject, "base64url in 'k'", "something else") from error
    if len(key) != CONTENT_KEY_BYTES:
        raise _broken(subject, f"a key of {CONTENT_KEY_BYTES} bytes", f"{len(key)} bytes")
    return key


def _load(text: str, subject: str) -> Any:
    from jwcrypto.common import JWException  # noqa: PLC0415 - heavy
    from jwcrypto.jwk import JWK  # noqa: PLC0415 - heavy

    is_json = text.lstrip("\ufeff \t\r\n").startswith("{")
    pem = None if is_json else read_pem(text, subject)
    if pem is not None and pem.is_encrypted:
        remedy = "store it without a passphrase: openssl pkey -in OLD.pem -out NEW.pem"
        raise KeyMaterialError(
            "the key needs a passphrase", subject, expected=_EXPECTED, found="an encrypted key", remedy=remedy
        )
    try:
        return JWK.from_pem(pem.text().encode()) if pem is not None else JWK.from_json(text.removeprefix("\ufeff"))
    except (JWException, ValueError, TypeError, KeyError):
        # Not chained: the library's message may quote what it read.
        raise KeyMaterialError(
            "the key cannot be read", subject, expected=_EXPECTED, found="a damaged or unknown key"
        ) from None


def _recipient(jwk: Any, subject: str) -> Recipient:
    if not jwk.has_public:
        raise _unfit(subject, "a symmetric key")
    public = jwk.export_public(as_dict=True)
    kind = str(public.get("kty"))
    if kind not in _ALGORITHMS:
        raise _unfit(subject, f"a key of the kind {kind}")
    if kind == "EC" and public["crv"] not in _CURVES:
        raise _unfit(subject, f"an EC key on {public['crv']}")
    if kind == "RSA":
        bits = int.from_bytes(_base64url.decode(public["n"]), "big").bit_length()
        if bits < MIN_RSA_BITS:
            raise _unfit(subject, f"RSA-{bits}")
    if public.get("use", "enc") != "enc":
        raise _unfit(subject, "a key whose 'use' is not enc")
    kid = jwk.thumbprint()
    return Recipient(_ALGORITHMS[kind], kid, _bare(jwk, kind))


def _bare(jwk: Any, kind: str) -> Any:
    """Keep the numbers only: 'alg', 'key_ops' and 'kid' of a foreign JWK must not decide anything here."""
    from jwcrypto.jwk import JWK  # noqa: PLC0415 - heavy

    if not jwk.has_private:
        public = jwk.export_public(as_dict=True)
        return JWK(**{name: public[name] for name in _PUBLIC_FIELDS[kind]})
    private = jwk.export_private(as_dict=True)
    kept = (*_PUBLIC_FIELDS[kind], "d", "p", "q", "dp", "dq", "qi")
    return JWK(**{name: value for name, value in private.items() if name in kept})


def _unfit(subject: str, found: str) -> KeyMaterialError:
    return KeyMaterialError("this key cannot be a recipient", subject, expected=_EXPECTED, found=found)


def _broken(subject: str, expected: str, found: str) -> VerificationError:
    return VerificationError("the wrapped key does not open", subject, expected=expected, found=found)
