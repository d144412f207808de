"""The port through which gates and people read telemetry: from an update server over HTTP, or from its database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse, SideBySide
from otagate.telemetry.model import Counts


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted, with where it comes from.

    Attributes:
        counts: The devices.
        asked: What was asked, for the evidence; without secrets.
        digest: SHA-256 hex of the answer.
    """

    counts: Counts
    asked: str
    digest: str


@dataclass(frozen=True, slots=True)
class Compared:
    """Two releases side by side, with where it comes from; see Counted."""

    rows: Sequence[SideBySide]
    asked: str
    digest: str


class TelemetryReader(Protocol):
    """The reading side of telemetry; see :class:`otagate.telemetry.interface.Telemetry` for what the answers mean.

    Errors of every method: ``SourceError`` (a server that does not answer as it should), and those of the telemetry port:
    ``UnavailableError``, ``VerificationError``; ``UsageError``, ``AccessError`` and ``NotFoundError`` for what the policy says
    of it.
    """

    def counted(self, query: CountQuery) -> Counted:
        """Count the devices of one release."""
        ...

    def side_by_side(self, query: CountQuery, control: str) -> Compared:
        """Count the devices of a release and of ``control`` that were first seen at the same time and are alike.

        ``verify`` and ``newest_at`` of the counts are not told.
        """
        ...

    def releases(self, app: str, start: datetime, end: datetime) -> Sequence[str]:
        """Give the versions that devices were first seen with in this time, newest first."""
        ...

    def active(self, app: str, since: datetime) -> Sequence[Active]:
        """Give the real devices that were seen since then, by what they run."""
        ...

    def heard(self, app: str, since: datetime) -> Sequence[Heard]:
        """Give how many real devices were heard in each hour since then."""
        ...

    def plugins(self, app: str, since: datetime) -> Sequence[PluginUse]:
        """Give the plugins of real devices that were seen since then."""
        ...

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        """Give every version that a device seen since then runs or is to run."""
        ...
