"""What is stored for the app: channel pointers, mirrors, the ledger, and rollouts that nobody carries on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from otagate._text import span
from otagate.channel.interface import ChannelReading
from otagate.errors import ExitCode, NotFoundError, OtagateError, UnavailableError, VerificationError
from otagate.flow.doctor.model import Check, Trouble, code_of, from_error, trouble
from otagate.flow.doctor.patient import Patient, public_words
from otagate.flow.doctor.public import check_public_pointer
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName
from otagate.rollout.state import RolloutState, Stage

UNATTENDED = timedelta(hours=6)
"""A rollout that was not reconciled for so long is pointed out: schedules run once an hour or more often."""
_RECONCILE = ("otagate reconcile",)


def check_pointers(patient: Patient, workspace: Workspace) -> Iterator[Check]:
    """Verify the pointer of every channel, and look at its expiry."""
    from otagate.flow.select import channel_names  # noqa: PLC0415 - only for a store that answers

    names = channel_names(workspace)
    found = 0
    for name in names:
        check = _pointer(patient, workspace, name)
        if check is not None:
            found += 1
            yield check
            key = f"apps/{workspace.policy.app}/channels/{name}.json"
            yield from check_public_pointer(workspace, key, f"channel {name}")
    if not found:
        yield Check("pointers", "channels", "none has been moved yet")


def _pointer(patient: Patient, workspace: Workspace, name: ChannelName) -> Check | None:
    try:
        reading = workspace.channels_read_only.read(name)
    except VerificationError as error:
        return Check("pointers", str(name), "", (from_error("pointer.invalid", error, f"channel {name}"),))
    if reading is None:
        return None
    left = reading.expires - patient.clock.now()
    when = f"{reading.expires:%Y-%m-%d %H:%M} UTC"
    detail = f"serial {reading.state.serial}, {reading.state.stable or 'built-in'}, until {when}"
    return Check("pointers", str(name), detail, _aged(reading, left, f"channel {name}", when))


def _aged(reading: ChannelReading, left: timedelta, subject: str, when: str) -> tuple[Trouble, ...]:
    if left <= timedelta(0):
        return (trouble("pointer.expired", subject, f"the pointer expired {when}", commands=_RECONCILE),)
    if left <= (reading.expires - reading.issued) / 3:
        what = f"the pointer expires {when}, in {span(timedelta(seconds=round(left.total_seconds())))}"
        return (trouble("pointer.expiring", subject, what, commands=_RECONCILE),)
    return ()


def check_mirrors(patient: Patient, workspace: Workspace) -> Iterator[Check]:
    """Say how far each mirror is behind."""
    if not workspace.store.mirrors:
        return
    patient.listener.note("comparing the mirrors")
    from otagate.flow.mirrors import Mirrors  # noqa: PLC0415 - only for a policy with mirrors

    for at, lag in enumerate(Mirrors(workspace).survey()):
        troubles: list[Trouble] = []
        if lag.error is not None:
            troubles.append(from_error("mirror.unreachable", lag.error, lag.url, commands=["otagate mirror"]))
        for release in lag.releases:
            what = f"release {release.version} lacks {release.lacks}"
            what += f": {release.problem}" if release.problem else ""
            troubles.append(trouble("mirror.lagging", lag.url, what, commands=["otagate mirror"]))
        for gap in lag.channels:
            there = "none that holds" if gap.there is None else f"serial {gap.there}"
            what = f"channel {gap.channel} has {there}, the first store serial {gap.here}"
            what += f": {gap.problem}" if gap.problem else ""
            troubles.append(trouble("mirror.lagging", lag.url, what, commands=["otagate mirror"]))
        yield Check("mirrors", f"mirrors[{at}]", f"{lag.url}: in step", tuple(troubles))


def check_ledger(patient: Patient, workspace: Workspace) -> Iterator[Check]:
    """Read the whole ledger and check its chain."""
    patient.listener.note("reading the ledger")
    report = workspace.ledger.verify_chain()
    subject = f"{workspace.policy.app} in {workspace.store.url}"
    troubles = tuple(trouble("ledger.broken", subject, problem) for problem in report.problems)
    yield Check("ledger", "chain", f"{report.entries} entries", troubles)


def check_rollouts(patient: Patient, workspace: Workspace) -> Iterator[Check]:
    """Find rollouts that nobody reconciles."""
    from otagate.flow.select import active_rollouts  # noqa: PLC0415 - likewise

    active = active_rollouts(workspace)
    if not active:
        yield Check("rollouts", "rollouts", "none is active")
    for stored in active:
        state = stored.state
        since = patient.clock.now() - (state.last_reconcile_at or state.created_at)
        detail = f"{state.stage.value}, reconciled {_ago(since)}"
        yield Check("rollouts", state.id, detail, _stuck(state, since))


def _stuck(state: RolloutState, since: timedelta) -> tuple[Trouble, ...]:
    # What is paused or waits for a person still has its gates judged by reconcile, but nobody is exposed anew meanwhile.
    if since < UNATTENDED or state.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL}:
        return ()
    what = (
        f"the rollout is {state.stage.value} and was reconciled {_ago(since)}: it goes no further, and nobody judges its gates"
    )
    return (trouble("rollout.stuck", state.id, what, commands=_RECONCILE),)


def _ago(since: timedelta) -> str:
    return f"{span(timedelta(minutes=round(since.total_seconds() / 60)))} ago"


def checked(group: str, error: OtagateError) -> Check:
    """Give the check for a group that ended with an error."""
    if error.exit_code is ExitCode.USAGE and not isinstance(error, NotFoundError):
        # Keys and the policy have been reported by the groups before.
        return Check(group, group, public_words(error), is_made=False)
    code = "store.unreachable" if isinstance(error, UnavailableError) else code_of(error)
    return Check(group, group, "", (from_error(code, error, error.subject or group),))
