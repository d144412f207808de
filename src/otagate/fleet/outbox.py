"""How events leave a device: one by one at once, or waiting for each other; kept or lost when nobody takes them.

**Source:** ``sendStats``, ``flushStatsQueue`` and ``isTransientStatsFailure`` of the plugin at its tags.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from otagate.fleet.generations import Generation
from otagate.fleet.interface import Response
from otagate.fleet.network import Exchange, Network

FLUSH_S = 1.0
"""A batch goes out that long after its first event."""
MAX_WAITING = 200
"""The oldest events beyond that are dropped."""
MAX_WAIT_S = 86_400.0
"""Retry-After is followed up to a day."""
_DEFAULT_WAIT_S = 60.0
_TRANSIENT = frozenset({408, 429})
_TOO_MANY = 429
_SERVER_ERROR = 500
_OK = range(200, 300)


class Witness(Protocol):
    """Writes down what became of events."""

    def told(self, event: dict[str, Any], exchange: Exchange, index: int | None, at: float) -> None:
        """Take note of one event that was sent; ``index`` is its place in a batch, None outside one."""
        ...


@dataclass(slots=True)
class Gate:
    """Whether the server asked this device to wait. One for all its endpoints."""

    plugin: Generation
    until: float = 0.0
    is_latched: bool = False

    def is_shut(self, at: float) -> bool:
        """Tell whether no call may be made now."""
        return self.is_latched or at < self.until

    def heed(self, answer: Response, at: float) -> None:
        """Take note of an answer."""
        if answer.status != _TOO_MANY:
            return
        if self.plugin.has("waits_after_429"):
            self.until = max(self.until, at + _retry_after(answer))
        elif self.plugin.has("latches_after_429"):
            self.is_latched = True

    def restart(self) -> None:
        """The app was started anew."""
        self.is_latched = False


@dataclass(slots=True)
class Outbox:
    """See the module.

    Attributes:
        url: ``statsUrl``; ``""``: nothing is ever sent.
        plugin: The generation.
        network: The way.
        gate: Of the device.
        chance: Of the device.
        witness: Of the fleet.
        waiting: Events that were not sent yet.
        dropped: How many were given up: too many waited, or nobody took them.
        is_stuck: The last batch came back.
        wake: Asks the device to call :meth:`flush` at that instant.
    """

    url: str
    plugin: Generation
    network: Network
    gate: Gate
    chance: random.Random
    witness: Witness
    wake: Callable[[float], None]
    waiting: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    is_stuck: bool = False
    _is_waking: bool = False

    def put(self, event: dict[str, Any], at: float) -> None:
        """Send an event, now or with its batch."""
        if not self.url or self.gate.is_latched:
            self.dropped += 1
            return
        if not self.plugin.has("batches"):
            self._post(event, [event], at)
            return
        self.waiting.append(event)
        if len(self.waiting) > MAX_WAITING:
            del self.waiting[0]
            self.dropped += 1
        self._ask(at + FLUSH_S)

    def put_alone(self, event: dict[str, Any], at: float) -> None:
        """Send an event of the download worker: at once, by itself, and never again."""
        if self.url:
            self._post(event, [event], at)

    def flush(self, at: float) -> None:
        """Send what waits."""
        self._is_waking = False
        if not self.waiting:
            return
        if self.gate.is_shut(at):
            self._ask(max(self.gate.until, at + FLUSH_S))
            return
        events, self.waiting = self.waiting, []
        answer = self._post(events, events, at)
        self.is_stuck = False
        if answer is None or answer.status in _TRANSIENT or answer.status >= _SERVER_ERROR:
            self._again(events, at)
        elif answer.status not in _OK:
            self.dropped += len(events)

    def _again(self, events: list[dict[str, Any]], at: float) -> None:
        if not self.plugin.has("requeues"):
            self.dropped += len(events)
            return
        self.is_stuck = True
        self.waiting = [*events, *self.waiting]
        excess = max(0, len(self.waiting) - MAX_WAITING)
        self.dropped += excess
        del self.waiting[:excess]
        self._ask(max(self.gate.until, at + FLUSH_S))

    def _ask(self, at: float) -> None:
        if not self._is_waking:
            self._is_waking = True
            self.wake(at)

    def _post(self, body: Any, events: list[dict[str, Any]], at: float) -> Response | None:
        exchange = self.network.request("POST", self.url, body, at=at, chance=self.chance)
        for index, event in enumerate(events):
            self.witness.told(event, exchange, index if isinstance(body, list) else None, at)
        if exchange.answer is not None:
            self.gate.heed(exchange.answer, at)
        return exchange.answer


def _retry_after(answer: Response) -> float:
    text = next((value for name, value in answer.headers.items() if name.lower() == "retry-after"), "")
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_WAIT_S)
    return _DEFAULT_WAIT_S
