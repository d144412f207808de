"""A world for identities without network, clock, machine and programs; and tokens that nobody verifies."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from otagate.identity._outside import Finished, Outside

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def jwt(audience: object = "sts.amazonaws.com", **changes: object) -> str:
    """Make a token that looks like one."""
    claims = {
        "sub": "repo:acme/app",
        "iss": "https://issuer.example",
        "exp": int(NOW.timestamp()) + 600,
        "aud": audience,
        **changes,
    }
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJFUzI1NiJ9.{body}.c2lnbmF0dXJlLW9mLXRoaXM"


@dataclass
class World:
    """Answers requests with ``respond``, in the order of ``asked``; tells time by ``time``; runs ``programs``."""

    respond: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(500)
    facts: dict[str, str] = field(default_factory=dict)
    programs: dict[str, Callable[[Sequence[str]], Finished | None]] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    passed: timedelta = timedelta()

    def outside(self) -> Outside:
        """Give it to an identity."""
        return Outside(
            now=lambda: NOW + self.passed,
            sleep=self._sleep,
            monotonic=self._monotonic,
            transport=httpx.MockTransport(self._answer),
            machine=lambda name: self.facts.get(name, ""),
            find=lambda name, _: f"/bin/{name}" if name in self.programs else None,
            run=self._run,
        )

    def _monotonic(self) -> float:
        return self.passed.total_seconds()

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.passed += timedelta(seconds=seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        return self.respond(request)

    def _run(self, words: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Finished | None:
        return self.programs[words[0]](words)


def answering(routes: Mapping[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    """Answer by ``METHOD /path``: a response, or something to send as JSON; 404 for anything else."""

    def respond(request: httpx.Request) -> httpx.Response:
        found = routes.get(f"{request.method} {request.url.path}", httpx.Response(404))
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    return respond


def nobody(request: httpx.Request) -> httpx.Response:
    """Answer nothing."""
    message = "connection refused"
    raise httpx.ConnectError(message)
