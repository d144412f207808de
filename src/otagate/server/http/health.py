"""``/healthz``: whether a load balancer should send anybody here. ``/livez``: whether the process should be let live."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime

from otagate.errors import OtagateError
from otagate.server.http.answer import Answer, Problem, Refused, answer_json
from otagate.server.http.threads import Threads
from otagate.server.interface import Catalog
from otagate.telemetry.interface import Telemetry

LOG = logging.getLogger("otagate.server")
KEPT_S = 1.0
"""So long an answer of the database is good, so that asking costs nothing."""
_TIMEOUT_S = 3.0
_NEVER_SEQ = 2**62
_UNHEALTHY = Problem(503, "unhealthy", "This server should not be asked now")
_RETRY_S = 5


class Health:
    """See the module.

    Args:
        catalog: Must have been read.
        telemetry: Must answer.
        stale_s: See HttpOptions.
    """

    def __init__(self, catalog: Catalog, telemetry: Telemetry, stale_s: float) -> None:
        self._catalog = catalog
        self._telemetry = telemetry
        self._stale_s = stale_s
        self._threads = Threads("health", 1, 2)
        self._asked_at = float("-inf")
        self._answers = False

    async def answer(self, now: datetime, *, is_draining: bool) -> Answer:
        """Answer ``/healthz``; the reasons name parts, and nothing about them."""
        reasons = ["draining"] if is_draining else []
        if self._catalog.age_s(now) > self._stale_s:
            reasons.append("catalog")
        if not await self._database_answers():
            reasons.append("database")
        if reasons:
            return _UNHEALTHY.answer(retry_after_s=_RETRY_S, more={"reasons": reasons})
        return answer_json(200, {"status": "ok"}, note="ok")

    def stop(self) -> None:
        """Let the thread go."""
        self._threads.stop()

    async def _database_answers(self) -> bool:
        now = time.monotonic()
        if now - self._asked_at >= KEPT_S:
            # Set first: while the database hangs, others are told what was known, and do not wait as well.
            self._asked_at = now
            self._answers = await self._ask()
        return self._answers

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._threads.run(self._telemetry.assignments, _NEVER_SEQ, 1)
        except (OtagateError, TimeoutError, Refused) as error:
            LOG.error("database_unavailable", extra={"reason": type(error).__name__})  # noqa: TRY400 - no bug
            return False
        return True
