"""Which versions devices run, as far as telemetry knows: what prune keeps by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from otagate._text import span
from otagate.errors import OtagateError, UsageError
from otagate.flow.counting import answering, telemetry_of
from otagate.flow.workspace import Workspace
from otagate.model import Version


@dataclass(frozen=True, slots=True)
class Heard:
    """What telemetry said.

    Attributes:
        versions: What devices run, or are to run.
        within: They were seen within this time.
    """

    versions: frozenset[Version]
    within: timedelta

    @property
    def fact(self) -> str:
        """Say it in a few words."""
        return f"telemetry knows {len(self.versions)} versions on devices seen within {span(self.within)}"


def ask_devices(workspace: Workspace) -> Heard | None:
    """Ask telemetry what devices run that were seen within ``keep.devices``; None when the policy has no ``telemetry``.

    Raises:
        AccessError, UnavailableError, NotFoundError, UsageError, VerificationError: It does not answer. What devices run cannot
            be known then, so nothing may be removed.
    """
    if workspace.policy.telemetry is None:
        return None
    within = workspace.policy.keep.devices
    reader = telemetry_of(workspace)
    try:
        with answering():
            told = reader.in_use(str(workspace.policy.app), workspace.clock.now() - within)
    except OtagateError as error:
        way_out = "or, knowing what devices run, prune with --ignore-telemetry and --in-use FILE"
        remedy = f"{error.remedy}; {way_out}" if error.remedy else f"mend that; {way_out}"
        found = (error.subject, error.expected, error.found, remedy, error.details)
        raise type(error)(f"{error.what}, so nothing is removed", *found) from error
    return Heard(frozenset(version for text in told if (version := _version(text)) is not None), within)


def _version(text: str) -> Version | None:
    """Give a version, or None: the native bundle, or what only a hostile device would claim to run."""
    try:
        return Version(text)
    except UsageError:
        return None
