"""What the parts of the update server speak in: the view of an app, replies, and the ports between them.

::

    bytes ─ http ─► service ─ facts ─► select ─► Choice ─ replies ─► Reply ─ http ─► bytes
                       │ catalog (signed pointers and releases, in memory)
                       └ observations ─► intake (group commit) ─► telemetry
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from otagate.model import AppId, ChannelState, Digest, Release
from otagate.policy.model.server import ServerSpec
from otagate.telemetry.interface import IntakeFullError as IntakeFullError  # noqa: PLC0414 - the port raises it
from otagate.telemetry.model import Observation


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel as last read, verified.

    Attributes:
        state: What its pointer says.
        expires: Nothing is served from it after this instant.
    """

    state: ChannelState
    expires: datetime


@dataclass(frozen=True, slots=True)
class AppView:
    """Everything about one app that an answer depends on; made anew, never changed.

    Attributes:
        app: The app.
        rules: Of the policy.
        is_signed: Devices have a public key: nothing is served without a session key (seal ``capgo``).
        channels: By name; those that could be read and verified.
        releases: By version: every release that a channel in ``channels`` names as stable or candidate, its statement
            verified against the pointer's digest. One that could not be verified is not in it.
        known: Every version that this app's channels name or once named, as far as the server knows: what telemetry is
            counted for.
        read_at: When the channels were last read with success.
    """

    app: AppId
    rules: ServerSpec
    is_signed: bool
    channels: Mapping[str, ChannelView]
    releases: Mapping[str, Release]
    known: frozenset[str]
    read_at: datetime


class Catalog(Protocol):
    """All apps of a server. Reading it never waits: something else keeps it fresh."""

    def view(self, app: str) -> AppView | None:
        """Give the app, matched exactly, or None when this server does not serve it (or has not been able to read it yet)."""
        ...

    def serves(self, app: str) -> bool:
        """Tell whether this server is there for the app, also while it has not been able to read it yet."""
        ...

    def views(self) -> Sequence[AppView]:
        """Give all apps that could be read."""
        ...

    def age_s(self, now: datetime) -> float:
        """Give the seconds since the app that was read longest ago was read; infinite while one never was."""
        ...


class Links(Protocol):
    """Where a device fetches a bundle from."""

    def address(self, digest: Digest, base: str) -> str:
        """Give an absolute address; it may be signed, and then holds for an hour at least.

        ``base`` is the server's own, such as ``https://updates.example.com``, without a slash at its end. Never waits for a
        network for long: answers are kept.

        Raises:
            OtagateError: None can be given now.
        """
        ...


class Choices(Protocol):
    """Channels of single devices, in memory."""

    def of(self, app: str, device: bytes) -> tuple[str | None, str | None]:
        """Give the operator's override and the channel that the device chose by itself; each may be None."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is bytes.

    Attributes:
        status: HTTP status.
        body: JSON value.
        retry_after_s: For 429 and 503.
        observations: What the request taught, to be recorded.
        must_record: The answer may only go out after the observations are durable (``/stats``); otherwise they are
            recorded later, and dropped, counted, when there is no room.
        assign: A change of the device's own channel that must be durable before the answer goes out, or None.
        note: One word for logs and counters, such as ``update``, ``no_new_version_available`` or ``unknown_action``.
    """

    status: int
    body: Any
    retry_after_s: int | None = None
    observations: Sequence[Observation] = ()
    must_record: bool = False
    assign: Assign | None = None
    note: str = ""
    app: str = ""
    unknown: frozenset[str] = frozenset()
    """Versions of ``app`` that the request tells of and that this server does not know: another server may; see learning."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Parts of the request that were not counted, by reason: for the counters of what was refused."""


@dataclass(frozen=True, slots=True)
class Assign:
    """A device's change of its own channel; ``channel`` None takes it back."""

    app: str
    device: bytes
    channel: str | None


class Service(Protocol):
    """The plugin's protocol without HTTP: pure computing over what is in memory. Never raises for what a client sends.

    ``body`` is the JSON value of a POST or PUT (an object or, for ``/stats``, an array), or the query parameters of a GET or
    DELETE as an object of strings. ``base`` is the server's public address for links.
    """

    def updates(self, body: Any, now: datetime, base: str) -> Reply:
        """``POST /updates``."""
        ...

    def channel_self(self, method: str, body: Any, now: datetime) -> Reply:
        """``POST|PUT|GET|DELETE /channel_self``."""
        ...

    def stats(self, body: Any, now: datetime) -> Reply:
        """``POST /stats``."""
        ...


class Intake(Protocol):
    """Takes observations into telemetry in groups, from the event loop, with bounded memory."""

    async def durable(self, observations: Sequence[Observation]) -> None:
        """Return when they are durable.

        Raises:
            IntakeFullError: There is no room; nothing of them was taken.
            UnavailableError: The database refused them; nothing of them is counted.
        """
        ...

    def later(self, observations: Sequence[Observation]) -> bool:
        """Take them when there is room; False: they were dropped (and counted as dropped)."""
        ...
