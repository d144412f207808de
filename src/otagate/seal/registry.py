"""From a key reference to a signer, by its scheme."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from otagate.errors import KeyMaterialError
from otagate.seal.file_signer import FileSigner
from otagate.seal.interface import Signer
from otagate.seal.loading import load_ed25519_private
from otagate.seal.references import read_reference, scheme_of

SCHEMES = ("env", "file")
"""Schemes of signing keys that this version opens."""
LATER = ("awskms", "gcpkms", "azurekms", "hsm", "vault", "command")
"""Schemes that are reserved for later versions."""


def open_signer(reference: str, *, environ: Mapping[str, str], base: Path) -> Signer:
    """Open the signing key that ``reference`` names.

    Args:
        reference: ``env:NAME`` or ``file:PATH`` of an ed25519 private key in PEM (PKCS#8).
        environ: Environment variables.
        base: Folder that a relative ``file:`` path starts from.

    Raises:
        KeyMaterialError: Unknown scheme, or a key that is missing or of another kind.
        AccessError: The file may not be read.
    """
    scheme = scheme_of(reference)
    if scheme in LATER:
        raise KeyMaterialError(
            f"signing keys at {scheme}: are not in this version",
            "seal.signing_key",
            expected=" or ".join(f"{name}:" for name in SCHEMES),
            remedy="use env:OTAGATE_SIGNING_KEY with a key made by `otagate keys create`",
        )
    text = read_reference(reference, environ=environ, base=base)
    return FileSigner(load_ed25519_private(text, reference), reference)
