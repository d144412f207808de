"""Signed envelopes: bytes, what kind of bytes they are, and signatures over both.

What was verified is returned; a caller that parses anything else parses something unsigned.

**Source:** DSSE v1, https://github.com/secure-systems-lab/dsse (protocol.md: PAE and verification; envelope.md: the JSON form).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from otagate import _canonical
from otagate._text import harmless
from otagate.errors import VerificationError
from otagate.seal.ed25519 import is_signed
from otagate.seal.interface import PublicKey, Signer
from otagate.seal.trust import TrustedKeys

MAX_SIGNATURES = 32
"""Most signatures in one envelope; more would only make a verifier work."""
_REMEDY = "do not use it; publish the release again from its commit, and find out who changed what is stored"


def pae(payload_type: str, payload: bytes) -> bytes:
    """Join type and payload so that no other pair gives the same bytes (pre-authentication encoding).

    Lengths count bytes, also those of the type: counting characters is a known fault of other implementations.
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload_type: str, payload: bytes, signer: Signer) -> bytes:
    """Sign a payload.

    Args:
        payload_type: Media type of the payload; it is signed too.
        payload: Any bytes.
        signer: The key.

    Returns:
        The envelope as canonical JSON:
        ``{"payload": base64, "payloadType": str, "signatures": [{"keyid": str, "sig": base64}]}``.
        The same input and key give the same bytes.

    Raises:
        KeyMaterialError, AccessError, UnavailableError: From the signer.
    """
    signature = signer.sign(pae(payload_type, payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [{"keyid": signer.public_key().key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return _canonical.dumps(envelope)


def verify_envelope(data: bytes, trusted: TrustedKeys, payload_type: str, *, subject: str, threshold: int = 1) -> bytes:
    """Check an envelope and give the payload that was signed.

    Args:
        data: The envelope.
        trusted: The keys that count. ``keyid`` only says which to try first.
        payload_type: The type that is expected here; a good signature over another type does not hold.
        subject: What is being checked, for messages.
        threshold: How many different trusted keys must have signed.

    Raises:
        VerificationError: Damaged, of another type, unsigned, or not signed by enough trusted keys.
    """
    envelope = _parse(data, subject)
    if envelope["payloadType"] != payload_type:
        raise VerificationError(
            "the envelope holds something else",
            subject,
            expected=payload_type,
            found=harmless(envelope["payloadType"]),
            remedy=_REMEDY,
        )
    payload = _decode(envelope["payload"], "payload", subject)
    signatures = _signatures(envelope["signatures"], subject)
    _require_trust(pae(payload_type, payload), signatures, trusted, subject, threshold)
    return payload


def _require_trust(
    message: bytes, signatures: list[tuple[str, bytes]], trusted: TrustedKeys, subject: str, threshold: int
) -> None:
    good: set[bytes] = set()
    for hint, signature in signatures:
        for key in sorted(trusted.keys, key=lambda key: key.key_id != hint):
            if is_signed(message, signature, key):
                good.add(key.raw)  # a set: the same key twice counts once
                break
        if len(good) >= threshold:
            return
    hints = {hint for hint, _ in signatures}
    is_known = any(key.key_id in hints for key in trusted.keys)
    raise VerificationError(
        "the signature does not hold" if is_known else "it is not signed by a trusted key",
        subject,
        expected=f"{threshold} good signature(s) by {_names(trusted.keys)}",
        found=f"{len(good)} good of {len(signatures)}, by {_hints(hints)}",
        remedy=_REMEDY if is_known else "if that key is yours, add it to trust.keys in the policy; else " + _REMEDY,
    )


def _hints(hints: set[str]) -> str:
    return ", ".join(sorted(harmless(hint, 32) or "no name" for hint in hints))


def _names(keys: tuple[PublicKey, ...]) -> str:
    return ", ".join(key.key_id for key in keys)


def _parse(data: bytes, subject: str) -> dict[str, Any]:
    try:
        envelope = _canonical.loads(data)
    except ValueError as error:
        raise _broken(subject, "strict JSON", harmless(str(error))) from error
    if not isinstance(envelope, dict):
        raise _broken(subject, "a JSON object", type(envelope).__name__)
    for name, kind in (("payload", str), ("payloadType", str), ("signatures", list)):
        if not isinstance(envelope.get(name), kind):
            raise _broken(subject, f"a {'text' if kind is str else 'list'} {name!r}", _kind(envelope, name))
    return envelope


def _signatures(items: list[Any], subject: str) -> list[tuple[str, bytes]]:
    if not items:
        raise VerificationError("it carries no signature", subject, expected="a signature", found="none", remedy=_REMEDY)
    if len(items) > MAX_SIGNATURES:
        raise _broken(subject, f"at most {MAX_SIGNATURES} signatures", str(len(items)))
    result = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("sig"), str):
            raise _broken(subject, "objects with a text 'sig' in 'signatures'", "something else")
        hint = item.get("keyid", "")
        if not isinstance(hint, str):
            raise _broken(subject, "a text 'keyid'", type(hint).__name__)
        result.append((hint, _decode(item["sig"], "sig", subject)))
    return result


def _decode(text: str, name: str, subject: str) -> bytes:
    """Decode either base64 alphabet, as DSSE asks; only the one spelling of each that encoders write."""
    try:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise _broken(subject, f"base64 in {name!r}", "something else") from error
    if text not in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        raise _broken(subject, f"canonical base64 in {name!r}", "another spelling of it")
    return data


def _kind(envelope: dict[str, Any], name: str) -> str:
    return type(envelope[name]).__name__ if name in envelope else "nothing"


def _broken(subject: str, expected: str, found: str) -> VerificationError:
    return VerificationError("this is not a signed envelope", subject, expected=expected, found=found, remedy=_REMEDY)
