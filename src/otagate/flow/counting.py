"""What telemetry counted, release by release, beside what the channels say of each: for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.flow.database import DATABASE_VARIABLE, DEFAULT_DATABASE
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.gate.interface import SourceError
from otagate.gate.sources.telemetry import OneLook, floor
from otagate.gate.sources.telemetry_interface import TelemetryReader
from otagate.gate.sources.telemetry_reader import open_reader
from otagate.model import ChannelName, ChannelState, Version
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.interface import Active, CountQuery
from otagate.telemetry.metrics import ADOPTION, ADOPTION_AGE, Tally, tally
from otagate.telemetry.model import BUCKET_S, Counts

MOST_RELEASES = 20
"""So many releases are asked for at once; each is a request or two."""
_BUCKET = timedelta(seconds=BUCKET_S)
_REFUSED = frozenset({"HTTP 401", "HTTP 403"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which devices are shown.

    Attributes:
        last: First seen with the release within this time.
        channel: Only those that followed it, or None for all; likewise the next three.
        release: Only this one.
        platform: ``ios``, ``android`` or ``electron``.
        plugin: ``major.minor.patch``.
        test: Emulators and development builds instead of real devices.
    """

    last: timedelta
    channel: ChannelName | None = None
    release: Version | None = None
    platform: str | None = None
    plugin: str | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """What a channel does with a release: ``candidate``, ``control`` (stable beside a candidate) or ``stable``."""

    channel: ChannelName
    name: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One release.

    Attributes:
        release: Its version.
        roles: What channels do with it.
        counts: Devices that were first seen with it in the window.
        adoption: Of those that are old enough, how many did not adopt it within 24 hours; None: none can be.
        active: Real devices that run it now, as far as seen in the window; None with test devices or a plugin version.
    """

    release: str
    roles: tuple[Role, ...]
    counts: Counts
    adoption: Tally | None
    active: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found.

    Attributes:
        start: Beginning of the window, a bucket's.
        end: Its end, likewise.
        figures: By release, those that telemetry heard of last first.
        fleet: Real devices seen in the window, whatever they run; None as for ``Figures.active``.
        left_out: Releases that were not asked for.
    """

    start: datetime
    end: datetime
    figures: tuple[Figures, ...]
    fleet: int | None
    left_out: int


def telemetry_of(workspace: Workspace) -> TelemetryReader:
    """Give what the policy's ``telemetry`` says, for one command.

    Raises:
        UsageError: The policy does not say where telemetry is.
    """
    spec = workspace.policy.telemetry or _made_here(workspace)
    if spec is None:
        raise UsageError(
            "the policy does not say where devices are counted",
            workspace.policy.file.name,
            expected="`telemetry` with `server` or `database`",
            remedy="write such as `telemetry: {server: https://updates.example.com}` (docs/gates.md)",
        )
    return OneLook(open_reader(spec, root=workspace.policy.root, environ=workspace.environ))


def _made_here(workspace: Workspace) -> TelemetrySpec | None:
    """Give the database that ``otagate serve`` makes beside the policy when nothing is said, if it is there."""
    if workspace.environ.get(DATABASE_VARIABLE, "").strip():
        return TelemetrySpec(database=f"env:{DATABASE_VARIABLE}")
    path = workspace.policy.file.parent / DEFAULT_DATABASE
    return TelemetrySpec(database=f"sqlite:///{path}") if path.exists() else None


@contextmanager
def answering() -> Iterator[None]:
    """Within the ``with`` body telemetry is asked for its own sake: what fails there ends the command.

    Raises:
        AccessError: The server does not take the token.
        UnavailableError: It does not answer, or not as it should.
    """
    try:
        yield
    except SourceError as error:
        parts = ("telemetry does not answer as it should", error.subject, error.expected, error.found, error.remedy)
        if error.found in _REFUSED:
            remedy = "set the variable of `telemetry.token` to a valid token with the verb `metrics` for this app"
            raise AccessError(*parts[:4], remedy) from error
        raise UnavailableError(*parts) from error


def gather(workspace: Workspace, wanted: Wanted) -> Report:
    """Ask telemetry for every release that devices were first seen with in the window, or for the one that is wanted.

    Raises:
        UsageError: The policy has no ``telemetry``.
        AccessError, UnavailableError: Telemetry does not answer.
    """
    now = workspace.clock.now()
    start, end = floor(now - wanted.last, _BUCKET), floor(now, _BUCKET)
    look = _Look(telemetry_of(workspace), str(workspace.policy.app), wanted, start, end)
    roles = _roles(workspace, wanted.channel)
    with answering():
        releases = look.releases(roles)
        rows = look.active()
        figures = tuple(look.figures(release, roles.get(release, ()), rows) for release in releases[:MOST_RELEASES])
    # Telemetry's list knows no channels: a release of it may have no device on the one that is wanted.
    figures = tuple(one for one in figures if one.counts.devices or one.active or one.roles or wanted.release)
    fleet = None if rows is None else sum(row.devices for row in rows)
    return Report(start, end, figures, fleet, max(0, len(releases) - MOST_RELEASES))


@dataclass(frozen=True, slots=True)
class _Look:
    """One window of one app."""

    reader: TelemetryReader
    app: str
    wanted: Wanted
    start: datetime
    end: datetime

    def releases(self, roles: Iterable[str]) -> list[str]:
        """List what is shown; what a channel serves also when no device came to it anew: a candidate is compared with it."""
        if self.wanted.release:
            return [str(self.wanted.release)]
        return list(dict.fromkeys([*self.reader.releases(self.app, self.start, self.end), *roles]))

    def active(self) -> list[Active] | None:
        """Give who was seen; None where telemetry does not tell that kind of device apart."""
        if self.wanted.test or self.wanted.plugin:
            return None
        return [row for row in self.reader.active(self.app, self.start) if _is_wanted(row, self.wanted)]

    def figures(self, release: str, roles: tuple[Role, ...], rows: Sequence[Active] | None) -> Figures:
        """Count one release."""
        old_enough = self.end - ADOPTION_AGE
        return Figures(
            release,
            roles,
            self._count(release, self.end),
            tally(ADOPTION, self._count(release, old_enough)) if old_enough > self.start else None,
            None if rows is None else sum(row.devices for row in rows if row.release == release),
        )

    def _count(self, release: str, until: datetime) -> Counts:
        wanted = self.wanted
        channel = None if wanted.channel is None else str(wanted.channel)
        asked = CountQuery(self.app, release, self.start, until, channel, wanted.platform, wanted.plugin, wanted.test)
        return self.reader.counted(asked).counts


def _is_wanted(row: Active, wanted: Wanted) -> bool:
    channel = None if wanted.channel is None else str(wanted.channel)
    return channel in (None, row.channel) and wanted.platform in (None, row.platform)


def _roles(workspace: Workspace, only: ChannelName | None) -> dict[str, tuple[Role, ...]]:
    """Give what channels do with releases; counts are worth showing also where the store cannot be read."""
    found: dict[str, tuple[Role, ...]] = {}
    try:
        for name in [only] if only else channel_names(workspace):
            reading = workspace.channels_read_only.read(name)
            for version, role in _parts(reading.state) if reading else ():
                found[version] = (*found.get(version, ()), role)
    except OtagateError as error:
        workspace.listener.warn(f"what channels serve is not shown: {error.what}")
    return found


def _parts(state: ChannelState) -> Iterator[tuple[str, Role]]:
    if state.candidate is not None:
        yield str(state.candidate.release.version), Role(state.name, "candidate")
    if state.stable is not None:
        yield str(state.stable.version), Role(state.name, "control" if state.candidate else "stable")
