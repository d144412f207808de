"""What the routes of the operators' side have in common: the call, what comes of it, and what they look things up in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from otagate.server.admin.params import Params
from otagate.server.interface import AppView, Choices
from otagate.telemetry.interface import Telemetry
from otagate.telemetry.tokens import Scope, Verb


@dataclass(frozen=True, slots=True)
class World:
    """What routes look things up in.

    Attributes:
        telemetry: Devices and counts.
        choices: Channels of devices that never told anything.
        device_key: Gives the stored key of an app's lower-cased device id.
    """

    telemetry: Telemetry
    choices: Choices
    device_key: Callable[[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that its token allows as far as app and verb go; channels are each route's own matter.

    Attributes:
        app: The app, which is served here.
        view: The same, as devices get it.
        params: What the request says.
        scope: The token's limits.
        now: The instant.
    """

    app: str
    view: AppView
    params: Params
    scope: Scope
    now: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A device's override that is set once the audit has its entry; ``channel`` None: taken back."""

    device: bytes
    channel: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a call.

    Attributes:
        body: The answer.
        audit: What the audit's entry says besides app and verb.
        change: What is still to be done.
    """

    body: Any
    audit: Mapping[str, Any] = field(default_factory=dict)
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        kind: Names it in the audit.
        verb: What the token needs.
        app_param: How the app is called in the request.
        params: Every parameter that it knows.
        run: Does it.
    """

    kind: str
    verb: Verb
    app_param: str
    params: frozenset[str]
    run: Callable[[World, Call], Outcome]
