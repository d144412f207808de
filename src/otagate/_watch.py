"""An end for a try over HTTP that would have none. One rule for whoever asks a service."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")
"""Behind what makes the connection: itself, or a proxy. **Source:** httpcore, "Trace"."""


class Watch:
    """Ends a try that drips: a server that sends a byte now and then never runs into a read's own timeout."""

    def __init__(self, left_s: float) -> None:
        """End it after so many seconds."""
        self._left_s = max(0.001, left_s)
        self._socket: socket.socket | None = None
        self._has_ended = threading.Event()

    @property
    def has_ended(self) -> bool:
        """Whether it ended the try."""
        return self._has_ended.is_set()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Learn the socket when the connection stands; httpx's trace hook."""
        if event.endswith(_CONNECTED):
            self._socket = info["return_value"].get_extra_info("socket")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch during the ``with`` body."""
        timer = threading.Timer(self._left_s, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _end(self) -> None:
        self._has_ended.set()
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already
