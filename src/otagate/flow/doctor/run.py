"""The whole check-up: every group, whatever the others found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otagate.errors import OtagateError
from otagate.flow.doctor.app import check_app
from otagate.flow.doctor.channels import check_ledger, check_mirrors, check_pointers, check_rollouts, checked
from otagate.flow.doctor.gates import check_gates
from otagate.flow.doctor.identity import check_identity
from otagate.flow.doctor.keys import check_keys
from otagate.flow.doctor.machine import check_machine
from otagate.flow.doctor.model import Check, CheckUp
from otagate.flow.doctor.notify import check_notify
from otagate.flow.doctor.patient import Patient
from otagate.flow.doctor.policy import check_policy
from otagate.flow.doctor.stores import check_stores
from otagate.flow.doctor.telemetry import check_telemetry
from otagate.flow.workspace import Workspace

_WITHOUT_STORE: tuple[tuple[str, Callable[[Patient], Iterator[Check]]], ...] = (
    ("machine", check_machine),
    ("app", check_app),
    ("keys", check_keys),
    ("identity", check_identity),
    ("stores", check_stores),
    ("telemetry", check_telemetry),
    ("gates", check_gates),
    ("notify", check_notify),
)
_OF_STORE: tuple[tuple[str, Callable[[Patient, Workspace], Iterator[Check]]], ...] = (
    ("pointers", check_pointers),
    ("mirrors", check_mirrors),
    ("ledger", check_ledger),
    ("rollouts", check_rollouts),
)


def examine(patient: Patient) -> CheckUp:
    """Look at everything. Only a bug in otagate raises.

    Writes nothing but keys and blobs of its own to try the stores, which it removes; with ``patient.read_only`` not even those.
    """
    # First, because others need it; shown second.
    policy = _safe("policy", lambda: check_policy(patient))
    found: list[Check] = []
    for group, look in _WITHOUT_STORE:
        if group == "app":
            found += policy
        found += _safe(group, lambda look=look: look(patient))  # type: ignore[misc]
    workspace = patient.workspace
    for group, of_store in _OF_STORE:
        if group == "mirrors" and patient.policy is not None and not patient.policy.mirrors:
            continue
        if workspace is None or patient.documents_gone:
            why = "the policy is not known" if workspace is None else "the store cannot be used; see above"
            found.append(Check(group, group, why, is_made=False))
            continue
        found += _safe(group, lambda look=of_store: look(patient, workspace))  # type: ignore[misc]
    return CheckUp(tuple(found))


def _safe(group: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    """Give what was found until the group ended, with an error or without."""
    found: list[Check] = []
    try:
        for check in look():
            found.append(check)  # noqa: PERF402 - what was found before an error counts
    except OtagateError as error:
        found.append(checked(group, error))
    return found
