"""Telemetry: does what counts devices answer, and take our token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from otagate.errors import AccessError, OtagateError, UnavailableError, VerificationError
from otagate.flow.doctor.model import Check, from_error
from otagate.flow.doctor.patient import Patient

GROUP = "telemetry"
_DAY = timedelta(hours=24)


def check_telemetry(patient: Patient) -> Iterator[Check]:
    """Ask once what a gate would ask; nothing where the policy has no ``telemetry``."""
    workspace = patient.workspace
    if workspace is None or workspace.policy.telemetry is None:
        return
    from otagate.flow.counting import answering, telemetry_of  # noqa: PLC0415 - only for a policy with telemetry

    spec = workspace.policy.telemetry
    name = "server" if spec.server else "database"
    patient.listener.note("asking telemetry (a minute, when it does not answer)")
    now = patient.clock.now()
    try:
        with answering():
            reader = telemetry_of(workspace)
            releases = reader.releases(str(workspace.policy.app), now - _DAY, now)
            devices = sum(row.devices for row in reader.active(str(workspace.policy.app), now - _DAY))
    except OtagateError as error:
        yield Check(GROUP, name, "", (from_error(_code(error), error, spec.server or "the telemetry database"),))
        return
    heard = f"{devices} devices heard in 24h, new ones with {len(releases)} releases"
    yield Check(GROUP, name, f"{spec.server}: {heard}" if spec.server else heard)


def _code(error: OtagateError) -> str:
    match error:
        case AccessError():
            return "telemetry.refused"
        case UnavailableError():
            return "telemetry.unreachable"
        case VerificationError():
            return "telemetry.damaged"
        case _:
            return "telemetry.unusable"
