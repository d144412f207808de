"""What each route does: from a request to an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otagate.errors import UnavailableError
from otagate.server.http.answer import UNAUTHORIZED, Answer, Headers, Refused, answer_json, too_many
from otagate.server.http.body import MAX_BODY_BYTES, MAX_STATS_BYTES, check_type, parse_json, parse_query, read_body
from otagate.server.http.downloads import Downloads
from otagate.server.http.health import Health
from otagate.server.http.offered import Offered
from otagate.server.http.openapi.document import document
from otagate.server.http.options import HttpOptions
from otagate.server.http.prometheus import Metrics
from otagate.server.http.rates import Limiter, RouteClass
from otagate.server.http.request import Request
from otagate.server.http.routes import Kind
from otagate.server.http.threads import Threads
from otagate.server.interface import IntakeFullError, Reply
from otagate.server.parts import AdminRequest, ServerParts
from otagate.telemetry.intake import IntakeStats
from otagate.telemetry.model import Observation

if TYPE_CHECKING:
    from otagate.server.learning import Learner
    from otagate.server.transport.limits import Traffic

Handler = Callable[[Request], Awaitable[Answer]]
_DATABASE_THREADS = 3
"""Each may hold a connection for as long as a lock or a long answer takes; two are left of a worker's five (telemetry.engine),
so that nobody's calls keep events from being recorded."""
_DURABLE_S = 15.0
"""Longer than a busy database is waited for (telemetry.sql.PATIENCE), shorter than a plugin waits: 20 s."""
_LEARNING, _LEARNING_THREADS, _LEARNING_S = 16, 2, 5.0
"""Lookups of releases that wait at once, threads for them, and seconds that one is waited for."""
_WITH_BODY = frozenset({"POST", "PUT"})


class Handlers:
    """All routes, over the parts of a worker. Each may raise Refused, Gone, IntakeFullError and OtagateError.

    Attributes:
        of: By kind.
        limiter: All token buckets; the application takes those of addresses.
    """

    def __init__(self, parts: ServerParts, options: HttpOptions, metrics: Metrics) -> None:
        self.limiter = Limiter(options.limits)
        self._parts = parts
        self._metrics = metrics
        self._downloads = Downloads(parts.bundles, parts.links, Offered(parts.catalog), options.downloads)
        self._health = Health(parts.catalog, parts.telemetry, options.stale_s)
        self._threads = Threads("database", _DATABASE_THREADS, options.blocking, _DURABLE_S)
        self._store = Threads("store", _LEARNING_THREADS, _LEARNING, _LEARNING_S)
        self._looking: dict[tuple[str, str], asyncio.Task[bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports, self._most_reports = 0, options.reports
        self._traffic: Traffic | None = None
        self.of: Mapping[Kind, Handler] = {
            Kind.UPDATES: self.updates,
            Kind.STATS: self.stats,
            Kind.CHANNEL_SELF: self.channel_self,
            Kind.BUNDLES: self.bundles,
            Kind.DEVICE: self.admin,
            Kind.API: self.admin,
            Kind.HEALTHZ: self.healthz,
            Kind.LIVEZ: self.livez,
            Kind.METRICS: self.figures,
            Kind.OPENAPI: self.openapi,
        }

    async def updates(self, request: Request) -> Answer:
        """``POST /updates``: what was learned is recorded when there is room, so that nobody waits for a database."""
        body = await self._json(request)
        self._limit_app(RouteClass.UPDATES, body, request.peer)
        base = self._base(request)
        reply = self._parts.service.updates(body, self._parts.clock.now(), base)
        self._later(reply)
        lookups = self._lookups_of(reply)
        if lookups and len(self._tasks) < _LEARNING:
            task = asyncio.create_task(self._count_again(lookups, body, base))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._answer(reply)

    async def _count_again(self, lookups: Sequence[asyncio.Task[bool]], body: Any, base: str) -> None:
        """Count a check from a device that runs what another server gave it; its answer does not wait for that."""
        if any(await asyncio.gather(*lookups)):
            self._later(self._parts.service.updates(body, self._parts.clock.now(), base))

    def _lookups_of(self, reply: Reply) -> Sequence[asyncio.Task[bool]]:
        """Give the lookups of what a request tells of and this server does not know, those that are under way included."""
        learner = self._parts.learner
        lookups = []
        for version in reply.unknown if learner is not None else ():
            key = reply.app, version
            lookup = self._looking.get(key)
            if lookup is None and learner is not None and learner.may_look_up(*key):
                lookup = self._looking[key] = asyncio.create_task(self._look_up(learner, *key))
            if lookup is not None:
                lookups.append(lookup)
        return lookups

    async def _look_up(self, learner: Learner, app: str, version: str) -> bool:
        try:
            return await self._store.run(learner.learn, app, version)
        except Refused:
            return False  # the store takes too long
        finally:
            del self._looking[app, version]

    def _later(self, reply: Reply) -> None:
        if reply.observations and not self._parts.intake.later(reply.observations):
            self._metrics.dropped(len(reply.observations))

    async def stats(self, request: Request) -> Answer:
        """``POST /stats``: 2xx only after the events are durable."""
        body = await self._json(request, MAX_STATS_BYTES)
        self._limit_app(RouteClass.STATS, body, request.peer)
        reply = self._parts.service.stats(body, self._parts.clock.now())
        lookups = self._lookups_of(reply)
        # Shielded: others wait for the same.
        if lookups and any(await asyncio.shield(asyncio.gather(*lookups))):
            reply = self._parts.service.stats(body, self._parts.clock.now())
        if reply.observations:
            await self._durable(reply.observations)
        return self._answer(reply)

    async def _durable(self, observations: Sequence[Observation]) -> None:
        """Wait for the database, but neither for ever nor all at once: a request that waits takes the place of others."""
        if self._reports >= self._most_reports:
            raise IntakeFullError
        self._reports += 1
        try:
            async with asyncio.timeout(_DURABLE_S):
                await self._parts.intake.durable(observations)
        except TimeoutError:
            raise UnavailableError("the database does not answer", "telemetry") from None
        finally:
            self._reports -= 1

    async def channel_self(self, request: Request) -> Answer:
        """``/channel_self``: 2xx only after the device's choice is durable."""
        # Plugins before x.34 send DELETE on Android with a body, on iOS with a query.
        is_body = request.method in _WITH_BODY or (request.method == "DELETE" and not request.query)
        body = await self._json(request) if is_body else parse_query(request.query)
        self._limit_app(RouteClass.CHANNEL_SELF, body, request.peer)
        now = self._parts.clock.now()
        reply = self._parts.service.channel_self(request.method, body, now)
        if reply.assign is not None:
            await self._threads.run(self._parts.choose, reply.assign, now)
        self._later(reply)
        return self._answer(reply)

    async def bundles(self, request: Request) -> Answer:
        """``GET|HEAD /bundles/sha256/...``."""
        return await self._downloads.answer(request, self._parts.clock.now(), self._base(request))

    async def admin(self, request: Request) -> Answer:
        """``/device`` and ``/api/v1/...``: Capgo's clients send parameters in the query or, with any method, in a body."""
        raw = await read_body(request.receive, request.content_length)
        body = None
        if raw:
            check_type(request.content_type, request.content_encoding)
            body = parse_json(raw)
        asked = AdminRequest(
            method=request.method,
            path=request.path,
            query=parse_query(request.query),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers},
            body=body,
            peer=request.peer,
        )
        reply = await self._threads.run(self._parts.admin.handle, asked, self._parts.clock.now())
        return self._answer(reply)

    async def healthz(self, request: Request) -> Answer:
        """``GET|HEAD /healthz``."""
        self._see(request)
        is_draining = self._traffic is not None and self._traffic.is_draining
        return await self._health.answer(self._parts.clock.now(), is_draining=is_draining)

    async def livez(self, request: Request) -> Answer:
        """``GET|HEAD /livez``: an event loop that answers is alive."""
        return answer_json(200, {"status": "ok"}, note="ok")

    async def figures(self, request: Request) -> Answer:
        """``GET /metrics``."""
        self._see(request)
        if not self._parts.metrics_public:
            authorization = request.header(b"authorization")
            text = None if authorization is None else authorization.decode("latin-1")
            now = self._parts.clock.now()
            if not await self._threads.run(self._parts.admin.may_read_metrics, text, request.peer, now):
                return UNAUTHORIZED.answer()
        self.sample()
        page, content_type = await self._threads.run(self._metrics.page)
        headers = ((b"content-type", content_type.encode()), (b"cache-control", b"no-store"))
        return Answer(200, headers, page, "ok")

    async def openapi(self, request: Request) -> Answer:
        """``GET|HEAD /openapi.json``."""
        return answer_json(200, document(), note="ok")

    def sample(self) -> None:
        """Set the figures that are kept elsewhere to what they are."""
        metrics, parts = self._metrics, self._parts
        metrics.gauge("catalog_age_seconds", "Since the channels were read", parts.catalog.age_s(parts.clock.now()))
        metrics.gauge("downloads", "Downloads under way", self._downloads.active)
        if self._traffic is not None:
            metrics.gauge("connections", "Open connections", self._traffic.connections)
            metrics.refusals(self._traffic.refused)
        stats = getattr(parts.intake, "stats", None)
        if isinstance(stats, IntakeStats):
            metrics.intake(stats)

    def stop(self) -> None:
        """Let the threads go."""
        for task in self._tasks:
            task.cancel()
        self._threads.stop()
        self._store.stop()
        self._downloads.stop()
        self._health.stop()

    async def _json(self, request: Request, limit: int = MAX_BODY_BYTES) -> Any:
        if self._traffic is None:
            self._see(request)
        check_type(request.content_type, request.content_encoding)
        return parse_json(await read_body(request.receive, request.content_length, limit))

    def _base(self, request: Request) -> str:
        return self._parts.base_url or request.base()

    def _limit_app(self, route: RouteClass, body: Any, peer: str) -> None:
        """Take a token of the app. Apps that are not served share one bucket, so that nobody makes up fresh ones."""
        if not self.limiter.limits_apps:
            return
        first = body[0] if isinstance(body, list) and body else body
        app = first.get("app_id") if isinstance(first, dict) else None
        is_served = isinstance(app, str) and self._parts.catalog.view(app) is not None
        wait = self.limiter.app(route, app if isinstance(app, str) and is_served else "", time.monotonic())
        if wait:
            raise Refused(too_many(peer, wait))

    def _answer(self, reply: Reply) -> Answer:
        for reason, count in reply.refused.items():
            self._metrics.refuse(reason, count)
        extra: Headers = () if reply.retry_after_s is None else ((b"retry-after", b"%d" % reply.retry_after_s),)
        if reply.status == UNAUTHORIZED.status:
            extra = (*extra, *UNAUTHORIZED.extra)
        return answer_json(reply.status, reply.body, note=reply.note, extra=extra)

    def _see(self, request: Request) -> None:
        """Remember the transport's figures, which come with requests."""
        self._traffic = request.scope.get("state", {}).get("traffic", self._traffic)
