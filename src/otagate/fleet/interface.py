"""The ports of virtual devices: how they reach a server, and what time it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. ``body`` is parsed JSON of device endpoints, or raw bytes of downloads; None when there is none."""

    status: int
    body: Any
    headers: Mapping[str, str]


class NoAnswerError(Exception):
    """The network failed: no answer, or a cut one."""


class Transport(Protocol):
    """How a device talks to the world."""

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        """Send JSON (or query parameters with GET and DELETE) and give the answer.

        Args:
            method: HTTP method.
            url: Absolute.
            body: JSON value, or None.
            at: Virtual now, Unix seconds: a server in the same process uses it as its clock.

        Raises:
            NoAnswerError: Nothing usable came back.
        """
        ...

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        """Fetch bytes from ``start`` on (``Range``); status 200 or 206 with bytes as body.

        Raises:
            NoAnswerError: Nothing usable came back.
        """
        ...
