"""An update server's parts in memory, and a client that speaks ASGI to it, one request at a time."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, BinaryIO

from otagate.errors import UnavailableError
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, Release, ReleaseRef, Version, Weight
from otagate.policy.model.server import ChannelRules, ServerSpec
from otagate.server.http.links import ServerLinks
from otagate.server.interface import AppView, Assign, ChannelView, IntakeFullError, Reply
from otagate.server.parts import AdminRequest, ServerParts
from otagate.server.service import PluginService
from otagate.telemetry.interface import Assignment
from otagate.telemetry.model import Observation
from support.releases import full_release

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
APP = "com.example.app"
ZIP = bytes(range(256)) * 40
DIGEST = Digest.of(ZIP)
DEVICE_ID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@dataclass
class Time:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def ref(version: str) -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of(version.encode()))


def release(version: str = "1.2.0", blob: Digest = DIGEST, **changes: Any) -> Release:
    base = full_release(app=AppId(APP), version=Version(version), native_min=None, native_max=None, channels=())
    sealed = replace(base.sealed, format="capgo", blob=blob, session_key="aXY=:a2V5", key_id=None)
    return replace(base, **{"sealed": sealed, "expires": None, **changes})


def channel(
    stable: str | None = "1.2.0",
    *,
    name: str = "stable",
    candidate: str | None = None,
    blocked: Sequence[str] = (),
    expires: datetime = NOON + timedelta(days=7),
) -> ChannelView:
    ramp = None if candidate is None else Candidate(ref(candidate), Weight(500), "00" * 16)
    state = ChannelState(
        AppId(APP),
        ChannelName(name),
        1,
        None if stable is None else ref(stable),
        ramp,
        blocked=tuple(Version(version) for version in blocked),
    )
    return ChannelView(state, expires)


def view(channels: Sequence[ChannelView] = (), releases: Sequence[Release] = ()) -> AppView:
    found = {one.state.name.value: one for one in channels or [channel()]}
    named = {str(one.version): one for one in releases or [release()]}
    rules = ServerSpec("stable", {"beta": ChannelRules(self_set=True)})
    return AppView(AppId(APP), rules, False, MappingProxyType(found), MappingProxyType(named), frozenset(named), NOON)


@dataclass
class Views:
    """A catalog that a test sets."""

    apps: list[AppView] = field(default_factory=lambda: [view()])
    age: float = 1.0

    def view(self, app: str) -> AppView | None:
        return next((one for one in self.apps if one.app.value == app), None)

    def serves(self, app: str) -> bool:
        return self.view(app) is not None

    def views(self) -> Sequence[AppView]:
        return tuple(self.apps)

    def age_s(self, now: datetime) -> float:
        return self.age


@dataclass
class ChoicesInMemory:
    chosen: dict[tuple[str, bytes], str | None] = field(default_factory=dict)
    is_away: bool = False

    def of(self, app: str, device: bytes) -> tuple[str | None, str | None]:
        return None, self.chosen.get((app, device))

    def choose(self, assign: Assign, at: datetime) -> None:
        if self.is_away:
            raise UnavailableError("the database does not answer", "test")
        self.chosen[assign.app, assign.device] = assign.channel


@dataclass
class IntakeInMemory:
    """Takes observations, or does not, as a test says."""

    durable_ones: list[Observation] = field(default_factory=list)
    later_ones: list[Observation] = field(default_factory=list)
    is_full: bool = False
    is_away: bool = False
    hangs: bool = False

    async def durable(self, observations: Sequence[Observation]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_full:
            raise IntakeFullError
        if self.is_away:
            raise UnavailableError("the database does not answer", "test")
        self.durable_ones += observations

    def later(self, observations: Sequence[Observation]) -> bool:
        if self.is_full:
            return False
        self.later_ones += observations
        return True


@dataclass
class Database:
    """What health asks of telemetry."""

    is_away: bool = False
    asked: int = 0
    closed: int = 0

    def assignments(self, after: int, limit: int = 10_000) -> list[Assignment]:
        self.asked += 1
        if self.is_away:
            raise UnavailableError("the database does not answer", "test")
        return []

    def close(self) -> None:
        self.closed += 1


@dataclass
class Operators:
    """The operators' side: writes down what it is asked."""

    reply: Reply = field(default_factory=lambda: Reply(200, {"status": "ok"}, note="admin"))
    requests: list[AdminRequest] = field(default_factory=list)
    token: str = "Bearer good"
    is_away: bool = False
    closed: int = 0

    def handle(self, request: AdminRequest, now: datetime) -> Reply:
        self.requests.append(request)
        return self.reply

    def may_read_metrics(self, authorization: str | None, peer: str, now: datetime) -> bool:
        return authorization == self.token

    def close(self, now: datetime) -> None:
        if self.is_away:
            raise UnavailableError("the database does not answer", "test")
        self.closed += 1


@dataclass
class BundlesInMemory:
    """Bundles whose store a test can break."""

    bytes_of: dict[Digest, bytes] = field(default_factory=lambda: {DIGEST: ZIP})
    is_away: bool = False
    lies_by: int = 0
    opened: list[io.BytesIO] = field(default_factory=list)

    def size(self, digest: Digest) -> int | None:
        if self.is_away:
            raise UnavailableError("the store does not answer", "test")
        data = self.bytes_of.get(digest)
        return None if data is None else len(data) + self.lies_by

    def open(self, digest: Digest, start: int = 0) -> AbstractContextManager[BinaryIO]:
        stream = io.BytesIO(self.bytes_of[digest])
        stream.seek(start)
        self.opened.append(stream)
        return stream


@dataclass
class World:
    """All parts, as fakes that a test sets; only the plugin's service is the real one."""

    catalog: Views = field(default_factory=Views)
    choices: ChoicesInMemory = field(default_factory=ChoicesInMemory)
    intake: IntakeInMemory = field(default_factory=IntakeInMemory)
    database: Database = field(default_factory=Database)
    admin: Operators = field(default_factory=Operators)
    bundles: BundlesInMemory = field(default_factory=BundlesInMemory)
    time: Time = field(default_factory=Time)

    def parts(self, **changes: Any) -> ServerParts:
        links = changes.get("links", ServerLinks())
        made: dict[str, Any] = {
            "service": PluginService(self.catalog, self.choices, links, lambda _app, device: device.encode()[:16]),
            "catalog": self.catalog,
            "links": links,
            "bundles": self.bundles,
            "telemetry": self.database,
            "choose": self.choices.choose,
            "intake": self.intake,
            "admin": self.admin,
            "background": (),
            "base_url": None,
            "metrics_public": False,
            "clock": self.time,
        }
        return ServerParts(**{**made, **changes})


def device(**changes: Any) -> dict[str, Any]:
    """Give what a device tells of itself; a value of None leaves the field out."""
    told = {
        "platform": "ios",
        "device_id": DEVICE_ID,
        "app_id": APP,
        "custom_id": "",
        "version_build": "1.0.0",
        "version_code": "1",
        "version_os": "18.0",
        "version_name": "builtin",
        "plugin_version": "8.51.23",
        "is_emulator": False,
        "is_prod": True,
        "defaultChannel": "",
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True)
class Got:
    """An answer. ``is_complete``: its end was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool
    pieces: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks ASGI to an application, as a server would that has read the whole request or a part of it.

    Attributes:
        hangs_up_after: The client goes away when it has so many pieces of the answer.
    """

    app: Callable[..., Any]
    peer: str = "192.0.2.1"
    state: dict[str, Any] | None = None
    hangs_up_after: int | None = None

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] | None = None,
        *,
        json_body: Any = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        hangs_up: bool = False,
    ) -> Got | None:
        return asyncio.run(self.ask(method, target, body, json_body=json_body, headers=headers, hangs_up=hangs_up))

    def get(self, target: str, **headers: str) -> Got:
        found = self("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert found is not None
        return found

    def post(self, target: str, value: Any) -> Got:
        found = self("POST", target, json_body=value)
        assert found is not None
        return found

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] | None = None,
        *,
        json_body: Any = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        hangs_up: bool = False,
    ) -> Got | None:
        if json_body is not None:
            body = json.dumps(json_body).encode()
            headers = {"content-type": "application/json", **headers}
        pieces = [body or b""] if isinstance(body, bytes) or body is None else list(body)
        path, _, query = target.partition("?")
        told = {"host": "updates.example.com", **headers}
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items() if value],
            "client": (self.peer, 50_000) if self.peer else None,
            "server": ("127.0.0.1", 8000),
            "scheme": "https",
        }
        if self.state is not None:
            scope["state"] = self.state
        return await _exchange(self.app, scope, pieces, hangs_up=hangs_up, hangs_up_after=self.hangs_up_after)


async def _exchange(
    app: Callable[..., Any], scope: dict[str, Any], pieces: list[bytes], *, hangs_up: bool, hangs_up_after: int | None
) -> Got | None:
    sent: list[dict[str, Any]] = []
    is_over = asyncio.Event()
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if hangs_up:
        waiting.append({"type": "http.disconnect"})
    else:
        waiting[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        await asyncio.sleep(0)
        if hangs_up_after is not None and len(sent) > hangs_up_after:
            is_over.set()
            await asyncio.sleep(0)

    await app(scope, receive, send)
    if not sent:
        return None
    start, rest = sent[0], sent[1:]
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    body = b"".join(message["body"] for message in rest)
    is_complete = bool(rest) and not rest[-1].get("more_body", False)
    return Got(start["status"], headers, body, is_complete, len(rest))
