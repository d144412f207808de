"""The way between a device and the server, with losses, and what an onlooker on both ends of it knows.

A phone that got no answer cannot tell whether the server had its request. The fleet can, as long as it is itself that loses
things: that is what makes its diary exact.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from otagate.fleet.interface import NoAnswerError, Response, Transport

_LATENCIES = 10_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request.

    Attributes:
        answer: What the device got; None: nothing.
        given: What the server answered, as far as the fleet knows.
        is_sure: Whether the fleet knows what the server did: an answer that was lost by the fleet is known, one that a real
            network lost is not.
    """

    answer: Response | None
    given: Response | None
    is_sure: bool


@dataclass(slots=True)
class Traffic:
    """Counters of a run.

    Attributes:
        answers: By ``(method path, status)``; status 0: no answer.
        latencies_s: A sample of the last answers' times; only meaningful over real HTTP.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    _seen: int = 0
    _lock: Lock = field(default_factory=Lock)

    def note(self, what: str, status: int, seconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self.answers[what, status] += 1
            if len(self.latencies_s) < _LATENCIES:
                self.latencies_s.append(seconds)
            else:
                self.latencies_s[self._seen % _LATENCIES] = seconds
            self._seen += 1

    @property
    def requests(self) -> int:
        """All."""
        return sum(self.answers.values())

    @property
    def errors(self) -> int:
        """No answer, or a status of 400 and above."""
        return sum(count for (_what, status), count in self.answers.items() if status == 0 or status >= 400)  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Network:
    """See the module.

    Attributes:
        transport: The way itself.
        loss: Share of requests that are lost: half of them on the way there, half on the way back.
        traffic: Counts them.
    """

    transport: Transport
    loss: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)

    def request(self, method: str, url: str, body: Any, *, at: float, chance: random.Random) -> Exchange:
        """Send a request; never raises for a network that fails."""
        what = f"{method} {url.rsplit('/', 1)[-1]}"
        fate = chance.random() if self.loss else 1.0
        if fate < self.loss / 2:
            self.traffic.note(what, 0, 0.0)
            return Exchange(None, None, is_sure=True)
        began = time.perf_counter()
        try:
            given = self.transport.request(method, url, body, at=at)
        except NoAnswerError:
            self.traffic.note(what, 0, time.perf_counter() - began)
            return Exchange(None, None, is_sure=False)
        self.traffic.note(what, given.status, time.perf_counter() - began)
        return Exchange(None if fate < self.loss else given, given, is_sure=True)

    def download(self, url: str, start: int, *, at: float, chance: random.Random) -> tuple[int, bytes]:
        """Fetch bytes from ``start`` on.

        Returns:
            The HTTP status, 0 when the way failed, and the bytes that arrived: with status 0 those before the cut.
        """
        fate = chance.random() if self.loss else 1.0
        if fate < self.loss / 2:
            self.traffic.note("GET bundle", 0, 0.0)
            return 0, b""
        began = time.perf_counter()
        try:
            answer = self.transport.download(url, start, at=at)
        except NoAnswerError:
            self.traffic.note("GET bundle", 0, time.perf_counter() - began)
            return 0, b""
        self.traffic.note("GET bundle", answer.status, time.perf_counter() - began)
        data = answer.body if isinstance(answer.body, bytes) else b""
        if fate < self.loss and len(data) > 1:
            return 0, data[: chance.randrange(1, len(data))]
        return answer.status, data
