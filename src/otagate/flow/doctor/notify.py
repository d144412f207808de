"""Notifications: can each place of the policy be told. Nothing is sent; `otagate notify test` sends."""

from __future__ import annotations

from collections.abc import Iterator

from otagate.errors import OtagateError
from otagate.flow.doctor.model import Check, from_error
from otagate.flow.doctor.patient import Patient

GROUP = "notify"


def check_notify(patient: Patient) -> Iterator[Check]:
    """Read address and secret of each place, and look at their form."""
    policy, workspace = patient.policy, patient.workspace
    if policy is None or workspace is None:
        return
    for spec in policy.notify:
        from otagate.notify.registry import open_notifier  # noqa: PLC0415 - only for a policy with `notify`

        try:
            open_notifier(spec, patient.environ, workspace.base)
        except OtagateError as error:
            again = () if patient.read_only else ("otagate notify test",)
            yield Check(GROUP, spec.name, "", (from_error("notify.unusable", error, commands=again),))
        else:
            yield Check(GROUP, spec.name, f"{spec.kind.value}: {', '.join(spec.events)}")
