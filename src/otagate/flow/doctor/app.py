"""The app: its Capacitor configuration, its plugin, and the public key that phones check updates with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from otagate._text import harmless
from otagate.errors import KeyMaterialError, OtagateError
from otagate.flow.doctor.model import Check, Trouble, from_error, trouble
from otagate.flow.doctor.patient import Patient, public_words
from otagate.policy.app import PLUGIN
from otagate.policy.model.bundles import SealFormat
from otagate.policy.model.policy import Policy

GROUP = "app"
KEY_PATH = "plugins.CapacitorUpdater.publicKey"
"""**Source:** README of @capgo/capacitor-updater, "Configuration"."""
_GOOD = {5: "5.50.2", 6: "6.51.16", 7: "7.51.21", 8: "8.51.23"}
"""A version of each line that was tried against otagate's seal, by the major version of Capacitor."""
_FIRST = {5: 30, 6: 2, 7: 0, 8: 0}
"""The first minor version of each line that opens the seal. **Source:** tags of @capgo/capacitor-updater; before them the
private key was in the app. Versions 9 and 10 on the registry are publications of 2023 and not newer."""
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.", re.ASCII)
_PEM = re.compile(r"-----BEGIN ((?:RSA )?PUBLIC KEY)-----(.*?)-----END \1-----", re.DOTALL)
_CODE_BETWEEN_LINES = re.compile(r"""['"`]\s*[+,]\s*['"`]|\\r|\\n|['"`\s]""")


def check_app(patient: Patient) -> Iterator[Check]:
    """Look at the app's own files; nothing is run."""
    policy, facts = patient.policy, patient.facts
    if facts.config is None:
        yield Check(GROUP, "configuration", "", (trouble("capacitor.config-missing", "app.dir"),))
    else:
        yield Check(GROUP, "configuration", facts.config.name, _app_id(patient))
    yield _plugin(patient)
    if policy is None:
        yield Check(GROUP, "public key", "the policy is not known", is_made=False)
    elif facts.config is None:
        yield Check(GROUP, "public key", "there is no configuration", is_made=False)
    else:
        yield _public_key(patient, policy, facts.config)


def _app_id(patient: Patient) -> tuple[Trouble, ...]:
    policy, said = patient.policy, patient.facts.app_id
    if policy is None or said is None or said.value == str(policy.app):
        return ()
    what = f"the app says {harmless(said.value, 80)}, the policy {policy.app}"
    return (trouble("capacitor.app-id", said.source, what),)


def _plugin(patient: Patient) -> Check:
    found, policy = patient.facts.plugin_version, patient.policy
    newest = f"npm install --save-exact {PLUGIN}@{_GOOD[8]}"
    if found is None:
        return Check(GROUP, "plugin", "", (trouble("capacitor.plugin-missing", PLUGIN, commands=[newest]),))
    detail = f"{PLUGIN} {harmless(found.value, 40)}"
    if policy is not None and policy.seal.format is not SealFormat.CAPGO:
        return Check(GROUP, "plugin", detail)
    version = _VERSION.match(found.value)
    if version is None:
        return Check(GROUP, "plugin", f"{detail}: not a version that can be judged", is_made=False)
    major, minor = int(version[1]), int(version[2])
    if major in _FIRST and minor >= _FIRST[major]:
        return Check(GROUP, "plugin", detail)
    good = _GOOD.get(major, _GOOD[8])
    fix = f"install {good} (Capacitor {good[0]}), and ship it in the app stores: older apps cannot take updates"
    old = trouble("capacitor.plugin-old", found.source, f"{detail} cannot open the capgo seal", fix=fix)
    return Check(GROUP, "plugin", detail, (_with(old, f"npm install --save-exact {PLUGIN}@{good}"),))


def _with(found: Trouble, command: str) -> Trouble:
    return trouble(found.code, found.subject, found.what, fix=found.fix, commands=[command], severity=found.severity)


def _public_key(patient: Patient, policy: Policy, config: Path) -> Check:
    name, subject = "public key", f"{config.name}: {KEY_PATH}"
    try:
        device, is_certain = _device_key(config)
    except (OtagateError, ValueError) as error:
        why = (
            public_words(error) if isinstance(error, OtagateError) else f"{config.name} cannot be read: {harmless(str(error))}"
        )
        return Check(GROUP, name, why, is_made=False)
    if not is_certain:
        return Check(GROUP, name, f"{config.name} is code, and not plain enough to be read without running it", is_made=False)
    if policy.seal.format is not SealFormat.CAPGO:
        if device is None:
            return Check(GROUP, name, "none, as the seal wants it")
        what = (
            f"the app has a public key, so phones refuse every update without a capgo seal; seal.format is {policy.seal.format}"
        )
        return Check(
            GROUP,
            name,
            "",
            (trouble("capacitor.public-key", subject, what, fix="seal with capgo, or take the key out of the app"),),
        )
    if device is None:
        what = "the app has no public key, so phones cannot open what is sealed for them"
        return Check(GROUP, name, "", (trouble("capacitor.public-key", subject, what, commands=["otagate keys show"]),))
    return _compared(patient, policy, device, subject)


def _compared(patient: Patient, policy: Policy, device: str, subject: str) -> Check:
    from otagate.seal.loading import key_id, load_rsa_private, load_rsa_public, rsa_public_pem_pkcs1  # noqa: PLC0415 - heavy
    from otagate.seal.references import read_reference  # noqa: PLC0415 - likewise

    name, reference = "public key", policy.seal.encryption_key
    try:
        theirs = rsa_public_pem_pkcs1(load_rsa_public(device, subject))
    except KeyMaterialError as error:
        return Check(GROUP, name, "", (from_error("capacitor.public-key", error, subject, commands=["otagate keys show"]),))
    if "BEGIN RSA PUBLIC KEY" not in device:
        what = "the key is in the form PUBLIC KEY, which Android cannot read; expected RSA PUBLIC KEY (PKCS#1)"
        return Check(GROUP, name, "", (trouble("capacitor.public-key", subject, what, commands=["otagate keys show"]),))
    if reference is None:
        return Check(GROUP, name, "the policy names no seal.encryption_key to compare it with", is_made=False)
    try:
        text = read_reference(reference, environ=patient.environ, base=policy.file.parent)
        ours = rsa_public_pem_pkcs1(load_rsa_private(text, reference))
    except OtagateError as error:
        return Check(GROUP, name, f"there is no key to compare it with: {public_words(error)}", is_made=False)
    if theirs == ours:
        return Check(GROUP, name, f"{key_id(ours)}, the public part of {reference}")
    what = f"the app has key {key_id(theirs)}, and {reference} is {key_id(ours)}: phones would refuse every update"
    fix = "seal with the key whose public part the app has; or put the new one into the app and ship it in the app stores first"
    return Check(GROUP, name, "", (trouble("capacitor.public-key", subject, what, fix=fix, commands=["otagate keys show"]),))


def _device_key(config: Path) -> tuple[str | None, bool]:
    """Give the public key that the configuration holds, and whether that is certain: code is not run."""
    from otagate.flow.init_files import read_text  # noqa: PLC0415 - a few lines of a large module
    from otagate.flow.json_edit import get_text  # noqa: PLC0415 - likewise

    text = read_text(config, "the app's configuration cannot be read") or ""
    if config.suffix == ".json":
        return get_text(text, tuple(KEY_PATH.split("."))) or None, True
    found = {(label, _CODE_BETWEEN_LINES.sub("", body)) for label, body in _PEM.findall(text)}
    if len(found) == 1:
        label, body = found.pop()
        return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n", True
    return None, not found and "publicKey" not in text
