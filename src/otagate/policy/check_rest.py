"""What the schema cannot say about keys, trust, secrets, versions and native ranges."""

from __future__ import annotations

import base64
import binascii
import re

from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath, secret_text
from otagate.policy.versioning import template_problem

_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", re.ASCII)
_SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie|password", re.IGNORECASE)
_SECRET_QUERY = re.compile(r"[?&](?:[a-z_-]*(?:token|key|secret|password|signature)|sig)=[^{&]", re.IGNORECASE)
_USER_INFO = re.compile(r"https?://[^/?#]*@", re.IGNORECASE)
_REFERENCE_REMEDY = (
    "put it into a file or a CI secret and write `env:NAME` or `file:PATH`; if this was committed, make a new one"
)
_RAW_KEY_BYTES = 32


def check_secrets(findings: Findings) -> None:
    """Refuse secrets that stand in the policy. Their text is never shown."""
    for path, text in findings.texts():
        if "-----BEGIN" in text:
            _secret(findings, path, "key text stands in the policy", text)
        elif _USER_INFO.search(text):
            _secret(findings, path, "a user name or password stands in an address", text)
        elif path[-2:] and path[-1] == "url" and _SECRET_QUERY.search(text):
            _secret(findings, path, "a secret stands in an address", text)
        elif (
            len(path) > 1 and path[-2] == "headers" and _SECRET_HEADER.search(str(path[-1])) and not _REFERENCE.fullmatch(text)
        ):
            _secret(findings, path, "a secret stands in a header", text)


def _secret(findings: Findings, path: YamlPath, what: str, text: str) -> None:
    findings.error(path, what, found=secret_text(text), remedy=_REFERENCE_REMEDY)


def check_seal(findings: Findings) -> None:
    """Check that the seal has the keys that it needs, and no others; and the form of trusted keys."""
    seal = findings.mapping("seal")
    kind = findings.text("seal", "format") or "capgo"
    if kind == "aes-256-gcm" and not findings.items("seal", "recipients"):
        findings.error(
            ("seal", "format"),
            "nobody could open this seal",
            expected="`recipients` with at least one public key",
            found="none",
        )
    if kind != "aes-256-gcm" and "recipients" in seal:
        findings.error(("seal", "recipients"), f"`recipients` goes with `format: aes-256-gcm`, not {kind}", remedy="remove it")
    if kind in {"aes-256-gcm", "none"} and "encryption_key" in seal:
        findings.error(
            ("seal", "encryption_key"), f"`encryption_key` goes with `format: capgo`, not {kind}", remedy="remove it"
        )
    if not findings.items("trust", "keys"):
        findings.warn(
            ("trust", "keys"), "no key is trusted, so no release can be promoted", remedy="`otagate keys show` prints the line"
        )
    for index, key in enumerate(findings.items("trust", "keys")):
        if isinstance(key, str) and key.startswith("ed25519:") and not _is_raw_key(key.removeprefix("ed25519:")):
            findings.error(("trust", "keys", index), "this is no public key", expected="`ed25519:` and 32 bytes in base64")


def _is_raw_key(text: str) -> bool:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    # Re-encoding catches stray bits in the last character: one key has one text.
    return len(raw) == _RAW_KEY_BYTES and base64.b64encode(raw).decode("ascii") == text


def check_native(findings: Findings) -> None:
    """Check that the native range holds at least one version."""
    low, high = findings.text("native", "min"), findings.text("native", "max")
    if low is None or high is None:
        return
    try:
        is_empty = _numbers(low) >= _numbers(high)
    except ValueError:
        return  # the schema reports it
    if is_empty:
        findings.error(("native", "max"), "no native version is in this range", expected=f"more than `min`, {low}", found=high)


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def check_versioning(findings: Findings) -> None:
    """Check that the version template can make a strict semantic version."""
    template = findings.text("versioning")
    if not template:
        return
    problem = template_problem(template)
    if problem:
        findings.error(("versioning",), "this makes no version", expected=problem[0], found=problem[1])
    elif "{" not in template and template not in {"package", "tag"}:
        findings.warn(("versioning",), "every commit gets this version", remedy="use package, tag or a template with {…}")
