"""Loading keys: exactly the kinds that are needed, with an error for each of the others.

Key text never gets into a message, a ``repr`` or a log. Devices accept RSA-2048 with exponent 65537 and nothing else: their
code checks that a wrapped value has 256 bytes, so a larger key would stop every update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otagate.errors import KeyMaterialError
from otagate.seal.pem import Pem, read_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

RSA_BITS = 2048
RSA_EXPONENT = 65537
KEY_ID_CHARS = 20
"""Length of the key id that devices send. Source: @capgo/capacitor-updater 8.51.23 (the base64 body's first characters)."""

_CREATE = "make keys with `otagate keys create`"
_CONVERT = "openssl pkey -in OLD.pem -out NEW.pem"


def load_rsa_private(text: str, subject: str) -> RSAPrivateKey:
    """Load the private key of the Capgo seal.

    Args:
        text: PEM (PKCS#1 or PKCS#8) in any shape that :mod:`otagate.seal.pem` reads.
        subject: The key's reference, for messages.

    Raises:
        KeyMaterialError: Damaged, encrypted, public, of another kind, or not RSA-2048 with exponent 65537.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - heavy

    key = load_private(text, subject, f"an RSA-{RSA_BITS} private key")
    if not isinstance(key, RSAPrivateKey):
        raise _wrong_kind(subject, f"an RSA-{RSA_BITS} private key", kind_of(key))
    check_device_key(key.public_key(), subject)
    return key


def load_ed25519_private(text: str, subject: str) -> Ed25519PrivateKey:
    """Load a signing key.

    Args:
        text: PEM (PKCS#8) in any shape that :mod:`otagate.seal.pem` reads.
        subject: The key's reference, for messages.

    Raises:
        KeyMaterialError: Damaged, encrypted, public, or of another kind.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - heavy

    key = load_private(text, subject, "an ed25519 private key")
    if not isinstance(key, Ed25519PrivateKey):
        raise _wrong_kind(subject, "an ed25519 private key", kind_of(key))
    return key


def load_rsa_public(text: str, subject: str) -> RSAPublicKey:
    """Load the public key that devices hold.

    Args:
        text: PEM (PKCS#1 or SubjectPublicKeyInfo) in any shape that :mod:`otagate.seal.pem` reads.
        subject: Where it comes from, for messages.

    Raises:
        KeyMaterialError: Damaged, private, or not RSA-2048 with exponent 65537.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - heavy

    expected = f"an RSA-{RSA_BITS} public key"
    pem = read_pem(text, subject)
    if pem.is_private:
        raise _wrong_kind(subject, expected, "a private key")
    key = _loaded(load_pem_public_key, pem, subject, expected)
    if not isinstance(key, RSAPublicKey):
        raise _wrong_kind(subject, expected, kind_of(key))
    check_device_key(key, subject)
    return key


def load_private(text: str, subject: str, expected: str) -> object:
    """Load a private key of any kind.

    Args:
        text: PEM in any shape.
        subject: The key's reference, for messages.
        expected: Which kind is needed, in words.

    Raises:
        KeyMaterialError: Damaged, encrypted, or public.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - heavy

    pem = read_pem(text, subject)
    if pem.is_encrypted:
        remedy = f"store it without a passphrase, in a secret variable: {_CONVERT}"
        raise KeyMaterialError(
            "the key needs a passphrase", subject, expected=expected, found="an encrypted key", remedy=remedy
        )
    if not pem.is_private:
        remedy = f"give the private key, not its public part; {_CREATE}"
        raise KeyMaterialError("this is not a private key", subject, expected=expected, found=f"a {pem.label}", remedy=remedy)
    if pem.label == "OPENSSH PRIVATE KEY":
        raise _wrong_kind(subject, f"{expected} in PKCS#8", "a key in the format of OpenSSH")
    return _loaded(lambda data: load_pem_private_key(data, None), pem, subject, expected)


def check_device_key(key: RSAPublicKey, subject: str) -> None:
    """Refuse every RSA key but those that devices accept.

    Raises:
        KeyMaterialError: Not 2048 bits, or not exponent 65537.
    """
    exponent = key.public_numbers().e
    if key.key_size != RSA_BITS or exponent != RSA_EXPONENT:
        found = f"RSA-{key.key_size} with exponent {exponent}"
        raise _wrong_kind(subject, f"RSA-{RSA_BITS} with exponent {RSA_EXPONENT}: devices accept nothing else", found)


def rsa_public_pem_pkcs1(key: RSAPrivateKey | RSAPublicKey) -> str:
    """Write the public part as devices read it: PEM, PKCS#1, 64 columns."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - heavy

    public = key.public_key() if isinstance(key, RSAPrivateKey) else key
    return public.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def key_id(public_pem: str) -> str:
    """Give the id that devices send for their key: the first 20 characters of the body of its PKCS#1 PEM."""
    return "".join(line.strip() for line in public_pem.splitlines() if "-----" not in line)[:KEY_ID_CHARS]


def kind_of(key: object) -> str:
    """Name a key's kind for people, from its class: ``RSA``, ``Ed25519``, ``ECPublicKey`` …; never from its content."""
    name = type(key).__name__
    for end in ("PrivateKey", "PublicKey"):
        name = name.removesuffix(end)
    return f"a key of the kind {name.replace('Elliptic', '').replace('CurveEC', 'EC') or 'unknown'}"


def _loaded(load: object, pem: Pem, subject: str, expected: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - heavy

    try:
        return load(pem.text().encode())  # type: ignore[operator]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not chained: the library's message may quote what it read.
        raise KeyMaterialError(
            "the key cannot be read", subject, expected=expected, found=f"a damaged or unknown {pem.label}", remedy=_CREATE
        ) from None


def _wrong_kind(subject: str, expected: str, found: str) -> KeyMaterialError:
    return KeyMaterialError(
        "this is not the kind of key that is needed", subject, expected=expected, found=found, remedy=_CREATE
    )
