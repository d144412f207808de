"""The operators' side over a database with tokens in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from otagate.model import AppId, ChannelName, ChannelState
from otagate.policy.model.server import ServerSpec
from otagate.server.admin.api import AdminApi
from otagate.server.choices import PolledChoices
from otagate.server.interface import AppView, ChannelView, Reply
from otagate.server.parts import AdminRequest
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.migrate import migrate
from otagate.telemetry.model import DeviceFacts, Mark, Observation
from otagate.telemetry.secret import device_key
from otagate.telemetry.sql import SqlTelemetry
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.tokens import Limit, Scope, Token, Verb

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
APP = "com.example.app"
ACTOR = "command:ana"
EVERYTHING = Scope("everything", Limit.all(), Limit.all(), frozenset(Verb))


def new_database(path: Path) -> Engines:
    """Make a SQLite database with its schema."""
    path.write_bytes(_empty_database())
    return Engines(place_of(f"sqlite:///{path}", {}, path.parent))


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        engines = Engines(place_of(f"sqlite:///{path}", {}, path.parent))
        migrate(engines)
        engines.close()
        return path.read_bytes()


def scope(*verbs: Verb, apps: Limit | None = None, channels: Limit | None = None) -> Scope:
    """Give a scope: by default the app of these tests with all its channels."""
    return Scope("test", apps or Limit.only(APP), channels or Limit.all(), frozenset(verbs or Verb))


def issue(store: TokenStore, wanted: Scope = EVERYTHING, life: timedelta = timedelta(days=90)) -> tuple[Token, str]:
    """Make a token; give it and its text."""
    token, made = store.create(wanted, life, actor=ACTOR, now=NOW)
    return token, made.text


OTHER = "com.example.other"
DEVICE = "550e8400-e29b-41d4-a716-446655440000"
SECRET = bytes(range(32))
PEER = "203.0.113.7"


def state(name: str, app: str = APP) -> ChannelView:
    """Give a channel on which nothing was released."""
    return ChannelView(ChannelState(AppId(app), ChannelName(name), 1, None), NOW + timedelta(days=30))


def view(app: str, *channels: str) -> AppView:
    """Give an app with these channels; ``stable`` is its default."""
    names = {name: state(name, app) for name in channels}
    return AppView(AppId(app), ServerSpec("stable"), False, names, {}, frozenset(), NOW)


class Served:
    """A catalog of apps that are there."""

    def __init__(self, *views: AppView) -> None:
        self._views = {str(one.app): one for one in views}

    def view(self, app: str) -> AppView | None:
        return self._views.get(app)

    def serves(self, app: str) -> bool:
        return self.view(app) is not None

    def views(self) -> Sequence[AppView]:
        return list(self._views.values())

    def age_s(self, now: datetime) -> float:
        return 0.0


class Desk:
    """The operators' side over a database, with two apps."""

    def __init__(self, path: Path) -> None:
        self.engines = new_database(path)
        self.tokens = TokenStore(self.engines)
        self.telemetry = SqlTelemetry(self.engines)
        self.choices = PolledChoices(self.telemetry)
        self.catalog = Served(view(APP, "stable", "beta", "internal"), view(OTHER, "stable", "secret"))
        self.api = AdminApi(self.tokens, self.telemetry, self.catalog, self.choices, self.key)

    def key(self, app: str, device: str) -> bytes:
        return device_key(SECRET, app, device)

    def see(self, device: str = DEVICE, app: str = APP, **facts: Any) -> bytes:
        """Let a device be known."""
        key = self.key(app, device)
        given = {"platform": "ios", "plugin": "7.30.1", "channel": "stable", "is_test": False, "native": "1.2.0", **facts}
        seen = Observation(DeviceFacts(app, key, **given), "1.4.2", Mark.OFFERED, NOW, running="1.4.1", target="1.4.2")
        self.telemetry.record([seen])
        return key

    def token(self, *verbs: Verb, **limits: Limit) -> str:
        return issue(self.tokens, scope(*verbs, **limits))[1]

    def call(self, method: str, path: str, token: str | None = None, *, at: datetime = NOW, **rest: Any) -> Reply:
        """Ask; ``query``, ``body``, ``headers`` and ``peer`` as in AdminRequest."""
        headers = dict(rest.get("headers") or {})
        if token is not None:
            headers["authorization"] = token
        query, body, peer = rest.get("query") or {}, rest.get("body"), rest.get("peer", PEER)
        return self.api.handle(AdminRequest(method, path, query, headers, body, peer), at)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.tokens.audit.newest(1000)]

    def override(self, device: str = DEVICE, app: str = APP) -> str | None:
        self.choices.refresh()
        return self.choices.of(app, self.key(app, device))[0]

    def close(self) -> None:
        self.engines.close()
