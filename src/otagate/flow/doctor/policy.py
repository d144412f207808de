"""The policy: is it there, does it hold, and what in it is unwise."""

from __future__ import annotations

from collections.abc import Iterator

from otagate._text import harmless
from otagate.errors import OtagateError, PolicyError, UsageError
from otagate.flow.doctor.model import Check, from_error, trouble
from otagate.flow.doctor.patient import Patient

GROUP = "policy"


def check_policy(patient: Patient) -> Iterator[Check]:
    """Load the policy; what comes later needs it."""
    from otagate.policy.find import find_policy  # noqa: PLC0415 - brings YAML
    from otagate.policy.load import load_policy  # noqa: PLC0415 - likewise

    try:
        file = patient.file or find_policy(patient.cwd)
    except UsageError as error:
        missing = from_error("policy.missing", error, "otagate.yml", commands=["otagate init"])
        yield Check(GROUP, "policy", "", (missing,))
        return
    try:
        policy = load_policy(file)
    except PolicyError as error:
        lines = error.details or (str(error),)
        fix = error.remedy or "correct it; otagate policy check shows it again"
        troubles = (trouble("policy.invalid", harmless(file.name), line, fix=fix) for line in lines)
        yield Check(GROUP, "policy", "", tuple(troubles))
        return
    except OtagateError as error:
        commands = ["otagate init"] if isinstance(error, UsageError) else []
        yield Check(GROUP, "policy", "", (from_error("policy.missing", error, harmless(file.name), commands=commands),))
        return
    patient.policy = policy
    warnings = tuple(trouble("policy.warning", policy.file.name, warning) for warning in policy.warnings)
    yield Check(GROUP, "policy", f"{harmless(policy.file.name)} of {policy.app}", warnings)
