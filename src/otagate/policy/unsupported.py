"""What the design foresees and this version does not do: said plainly, never accepted and ignored."""

from __future__ import annotations

import re

from otagate.policy.problems import YamlPath

_KEYS: dict[YamlPath, str] = {
    ("bundle", "delta"): "delta updates",
    ("bundle", "optimize"): "image optimisation",
}
_SCHEMES = {
    "awskms": "keys in AWS KMS",
    "gcpkms": "keys in Google Cloud KMS",
    "azurekms": "keys in Azure Key Vault",
    "hsm": "keys in an HSM",
    "vault": "keys in Vault",
    "command": "keys from a command",
}
_SCHEME = re.compile(r"([a-z0-9]+):")
_SCHEME_PATHS = {("seal", "encryption_key"), ("seal", "signing_key"), ("seal", "recipients"), ("trust", "keys")}


def unsupported_key(path: YamlPath) -> str | None:
    """Say of an unknown key that this version cannot do it yet, or give None when no version will."""
    name = _KEYS.get(path)
    return _sentence(name) if name else None


def unsupported_value(path: YamlPath, value: object) -> str | None:
    """Say of a refused value that this version cannot do it yet, or give None when it is simply wrong."""
    if not isinstance(value, str):
        return None
    if path == ("channels",) and value == "capgo":
        return _sentence("Capgo's own channels")
    keys_only = tuple(part for part in path if isinstance(part, str))
    scheme = _SCHEME.match(value)
    name = _SCHEMES.get(scheme[1]) if scheme and keys_only in _SCHEME_PATHS else None
    return _sentence(name) if name else None


def _sentence(name: str) -> str:
    return f"this version of otagate does not do {name} yet"
