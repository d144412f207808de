"""The operators' side as one thing: from a request to a reply, with an entry in the audit for each call.

The audit has its entry before anything is changed: a change that is not in it does not happen. Tokens cannot be made, changed
or listed over HTTP at all (CVE-2026-56216, -56225, -56237): that takes the database, and ``otagate token``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from otagate.errors import UnavailableError, VerificationError
from otagate.server.admin import counts, device, refusals
from otagate.server.admin.calls import Call, Change, Outcome, Route, World
from otagate.server.admin.door import Door, token_of
from otagate.server.admin.params import Params
from otagate.server.admin.refusals import UNAUTHORIZED, RefusedError, unauthorized
from otagate.server.interface import Catalog, Choices, Reply
from otagate.server.parts import AdminRequest
from otagate.telemetry.interface import OVERRIDE, Telemetry
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.tokens import Token, Verb

_HOUR_S = 3600
_DEVICE = frozenset({"app_id", "device_id"})
_PAGE = frozenset({"cursor", "limit", "updated_at", "order", "customIdMode"})
_COUNTS = frozenset({"app", "release", "channel", "start", "end", "platform", "plugin", "test"})

ROUTES: Mapping[str, Mapping[str, Route]] = {
    "/device": {
        "GET": Route("device.read", Verb.DEVICE_READ, "app_id", _DEVICE | _PAGE, device.read),
        "POST": Route("device.set", Verb.DEVICE_WRITE, "app_id", _DEVICE | {"channel", "version_id"}, device.put),
        "DELETE": Route("device.unset", Verb.DEVICE_WRITE, "app_id", _DEVICE, device.drop),
    },
    "/api/v1/metrics": {"GET": Route("metrics.counts", Verb.METRICS, "app", _COUNTS, counts.metrics)},
    "/api/v1/side-by-side": {
        "GET": Route("metrics.side_by_side", Verb.METRICS, "app", _COUNTS | {"control"}, counts.side_by_side)
    },
    "/api/v1/releases": {
        "GET": Route("metrics.releases", Verb.METRICS, "app", frozenset({"app", "start", "end"}), counts.releases)
    },
    "/api/v1/active": {"GET": Route("metrics.active", Verb.METRICS, "app", frozenset({"app", "since"}), counts.active)},
    "/api/v1/heard": {"GET": Route("metrics.heard", Verb.METRICS, "app", frozenset({"app", "since"}), counts.heard)},
    "/api/v1/plugins": {"GET": Route("metrics.plugins", Verb.METRICS, "app", frozenset({"app", "since"}), counts.plugins)},
    "/api/v1/in-use": {"GET": Route("metrics.in_use", Verb.METRICS, "app", frozenset({"app", "since"}), counts.in_use)},
}
"""Every path with its methods. ``/device/`` is ``/device``: Capgo's documents show both."""


class AdminApi:
    """See server.parts.Admin. Safe from several threads."""

    def __init__(
        self,
        tokens: TokenStore,
        telemetry: Telemetry,
        catalog: Catalog,
        choices: Choices,
        device_key: Callable[[str, str], bytes],
    ) -> None:
        """Use ``tokens`` and their audit; ``device_key(app, device id in lower case)`` is how devices are stored."""
        self._tokens = tokens
        self._telemetry = telemetry
        self._catalog = catalog
        self._world = World(telemetry, choices, device_key)
        self._door = Door(tokens)

    def handle(self, request: AdminRequest, now: datetime) -> Reply:
        """See Admin.handle."""
        methods = ROUTES.get("/device" if request.path == "/device/" else request.path)
        if methods is None:
            return refusals.no_route()
        route = methods.get(request.method)
        if route is None:
            return refusals.wrong_method()
        try:
            token = self._door.admit(request.headers, request.peer, now)
            return self._answer(route, token, request, now)
        except RefusedError as refusal:
            return refusal.reply
        except UnavailableError:
            return refusals.away()
        except VerificationError:
            return refusals.damaged()

    def may_read_metrics(self, authorization: str | None, peer: str, now: datetime) -> bool:
        """See Admin.may_read_metrics. The numbers are of all apps and channels, so the token must be for all of them.

        Scrapes are in the audit once an hour for each token, not each by itself.
        """
        headers = {} if authorization is None else {"authorization": token_of(authorization)}
        try:
            token = self._door.admit(headers, peer, now)
            return self._may_scrape(token, peer, now)
        except (RefusedError, UnavailableError, VerificationError):
            return False  # the caller answers 401 to all of them

    def close(self, now: datetime) -> None:
        """Write into the audit what is still to be written."""
        self._door.close(now)

    def _answer(self, route: Route, token: Token, request: AdminRequest, now: datetime) -> Reply:
        app = ""
        try:
            params = Params(request, route.params)
            app = params.app(route.app_param)
            call = self._allowed(route, token, app, params, now)
            outcome = route.run(self._world, call)
        except RefusedError as refusal:
            self._note(route, token, {"app": app, "allowed": False, "error": refusal.error}, now)
            if refusal.reply.status == UNAUTHORIZED:
                raise self._door.failed(request.peer, now) from refusal
            raise
        if not self._note(route, token, {"app": app, "allowed": True, **outcome.audit}, now):
            raise self._door.failed(request.peer, now)
        return self._finish(route, app, outcome, now)

    def _allowed(self, route: Route, token: Token, app: str, params: Params, now: datetime) -> Call:
        view = self._catalog.view(app)
        if view is None or not token.scope.allows(route.verb, app):
            raise unauthorized()
        return Call(app, view, params, token.scope, now)

    def _note(self, route: Route, token: Token, data: Mapping[str, Any], now: datetime) -> bool:
        return self._tokens.use(token, route.kind, data, now)

    def _finish(self, route: Route, app: str, outcome: Outcome, now: datetime) -> Reply:
        if outcome.change is not None:
            self._carry_out(app, outcome.change, now)
        return Reply(200, outcome.body, note=f"admin_{route.kind.replace('.', '_')}")

    def _carry_out(self, app: str, change: Change, now: datetime) -> None:
        self._telemetry.assign(app, change.device, OVERRIDE, change.channel, now)

    def _may_scrape(self, token: Token, peer: str, now: datetime) -> bool:
        scope = token.scope
        if Verb.METRICS not in scope.verbs or not (scope.apps.is_all and scope.channels.is_all):
            self._door.failed(peer, now)
            return False
        used = token.last_used
        if used is not None and used <= now and (now - used).total_seconds() < _HOUR_S:
            return True
        return self._tokens.use(token, "metrics.scrape", {"allowed": True}, now)
