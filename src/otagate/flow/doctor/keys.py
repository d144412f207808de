"""The keys of the policy: there, of the right kind, readable by their owner only, and trusted."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from otagate._text import harmless
from otagate.errors import OtagateError
from otagate.flow.doctor.model import Check, Trouble, from_error, trouble
from otagate.flow.doctor.patient import Patient
from otagate.policy.model.bundles import SealFormat
from otagate.policy.model.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from otagate.seal.interface import PublicKey

GROUP = "keys"
_CREATE = ("otagate keys create",)


def check_keys(patient: Patient) -> Iterator[Check]:
    """Read each key; none is ever shown."""
    policy = patient.policy
    if policy is None:
        yield Check(GROUP, "keys", "the policy is not known", is_made=False)
        return
    trusted, check = _trusted(patient, policy)
    yield check
    yield _signing(patient, policy, trusted)
    if policy.seal.format is SealFormat.CAPGO:
        yield _encryption(patient, policy)
    for at, reference in enumerate(policy.seal.recipients):
        yield _recipient(patient, policy, f"seal.recipients[{at}]", reference)


def _trusted(patient: Patient, policy: Policy) -> tuple[tuple[PublicKey, ...], Check]:
    from otagate.seal.trust import load_trusted  # noqa: PLC0415 - brings cryptography

    name = "trusted keys"
    if not policy.trust.keys:
        what = "the policy trusts no key, so nothing could be verified"
        return (), Check(GROUP, name, "", (trouble("key.untrusted", "trust.keys", what, commands=["otagate keys show"]),))
    try:
        keys = load_trusted(policy.trust.keys, environ=patient.environ, base=policy.file.parent).keys
    except OtagateError as error:
        return (), Check(GROUP, name, "", (from_error("key.invalid", error, "trust.keys"),))
    return keys, Check(GROUP, name, ", ".join(key.key_id for key in keys))


def _signing(patient: Patient, policy: Policy, trusted: tuple[PublicKey, ...]) -> Check:
    from otagate.seal.registry import open_signer  # noqa: PLC0415 - brings cryptography

    name, reference = "signing key", policy.seal.signing_key
    if not reference:
        what = "the policy names no signing key"
        return Check(GROUP, name, "", (trouble("key.missing", "seal.signing_key", what, commands=_CREATE),))
    found: list[PublicKey] = []

    def read() -> str:
        found.append(open_signer(reference, environ=patient.environ, base=policy.file.parent).public_key())
        return f"{found[0].key_id} from {reference}"

    check = _read(patient, policy, name, reference, read)
    if not found or not trusted or found[0].raw in {key.raw for key in trusted}:
        return check
    what = f"the policy signs with {found[0].key_id} and trusts only {', '.join(key.key_id for key in trusted)}"
    fix = "add the line that `otagate keys show` prints to trust.keys, or sign with a trusted key"
    wrong = trouble("key.untrusted", reference, what, fix=fix, commands=["otagate keys show"])
    return Check(GROUP, name, check.detail, (*check.troubles, wrong))


def _encryption(patient: Patient, policy: Policy) -> Check:
    from otagate.seal.loading import key_id, load_rsa_private, rsa_public_pem_pkcs1  # noqa: PLC0415 - brings cryptography
    from otagate.seal.references import read_reference  # noqa: PLC0415 - likewise

    name, reference = "encryption key", policy.seal.encryption_key
    if not reference:
        what = "the policy names no encryption key, which the capgo seal needs"
        return Check(GROUP, name, "", (trouble("key.missing", "seal.encryption_key", what, commands=_CREATE),))

    def read() -> str:
        text = read_reference(reference, environ=patient.environ, base=policy.file.parent)
        return f"{key_id(rsa_public_pem_pkcs1(load_rsa_private(text, reference)))} from {reference}"

    return _read(patient, policy, name, reference, read)


def _recipient(patient: Patient, policy: Policy, name: str, reference: str) -> Check:
    from otagate.seal.recipients import load_recipient  # noqa: PLC0415 - brings cryptography
    from otagate.seal.references import read_reference  # noqa: PLC0415 - likewise

    def read() -> str:
        text = read_reference(reference, environ=patient.environ, base=policy.file.parent)
        return f"{load_recipient(text, reference).kid} from {reference}"

    return _read(patient, policy, name, reference, read)


def _read(patient: Patient, policy: Policy, name: str, reference: str, read: Callable[[], str]) -> Check:
    open_to_others = _readable(policy, reference)
    if open_to_others is not None:
        return Check(GROUP, name, "", (open_to_others,))
    try:
        return Check(GROUP, name, read())
    except OtagateError as error:
        if _is_missing(patient, policy, reference):
            return Check(GROUP, name, "", (from_error("key.missing", error, reference, commands=_CREATE),))
        return Check(GROUP, name, "", (from_error("key.invalid", error, reference),))


def _is_missing(patient: Patient, policy: Policy, reference: str) -> bool:
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        return not patient.environ.get(rest, "").strip()
    return scheme == "file" and not (policy.file.parent / rest).exists()


def _readable(policy: Policy, reference: str) -> Trouble | None:
    """Find a private key's file that others can read; of what cannot be looked at, reading says what is wrong."""
    scheme, _, rest = reference.partition(":")
    if scheme != "file":
        return None
    path = policy.file.parent / rest
    try:
        mode = path.stat().st_mode
        is_private = "PRIVATE" in path.read_text("utf-8", "replace")[:_LOOKED_AT]
    except (OSError, ValueError):
        return None
    if not is_private or not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return None
    what = f"others on this machine can read the private key; expected mode 0600; found mode {stat.S_IMODE(mode):04o}"
    return trouble("key.readable", reference, what, commands=[f"chmod 600 {harmless(str(path), 400)}"])


_LOOKED_AT = 4096
