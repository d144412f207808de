"""Counting what goes over the wire: a proxy on loopback that passes bytes on unchanged."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(?:^|\n)(GET|PUT|POST|DELETE|HEAD|PATCH) /[^ \r\n]* HTTP/1\.1\r\n")
_CHUNK = 256 * 1024


@dataclass
class Traffic:
    """Requests by method, and the bytes of each direction, heads included."""

    requests: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())

    def count(self, data: bytes, *, upwards: bool) -> None:
        """Count what passes."""
        with self.lock:
            if not upwards:
                self.received += len(data)
                return
            self.sent += len(data)
            for method in _REQUEST.findall(data):
                self.requests[method.decode()] = self.requests.get(method.decode(), 0) + 1


@contextmanager
def counting(base: str) -> Iterator[tuple[str, Traffic]]:
    """Run a proxy to ``base`` and give its own base URL, and what has passed.

    A service that names itself in an answer (the address of a resumable upload) is given the proxy's name: both have addresses
    of the same length, so that no length has to be corrected.
    """
    parts = urlsplit(base)
    port = parts.port or 80
    traffic = Traffic()
    with _listener(len(str(port))) as listener:
        own = listener.getsockname()[1]
        names = (f":{port}".encode(), f":{own}".encode())

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server = socket.create_connection(("127.0.0.1", port))
                for args in ((client, server, True), (server, client, False)):
                    threading.Thread(target=_pump, args=(*args, traffic, names), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{own}{parts.path}", traffic


@contextmanager
def _listener(digits: int) -> Iterator[socket.socket]:
    kept = []
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        if len(str(listener.getsockname()[1])) == digits:
            break
        kept.append(listener)
    for other in kept:
        other.close()
    try:
        yield listener
    finally:
        listener.close()


def _pump(source: socket.socket, target: socket.socket, upwards: bool, traffic: Traffic, names: tuple[bytes, bytes]) -> None:
    try:
        while data := source.recv(_CHUNK):
            traffic.count(data, upwards=upwards)
            if not upwards and b"ocation: http" in data[:4096]:
                data = data.replace(b"127.0.0.1" + names[0], b"127.0.0.1" + names[1])
            target.sendall(data)
    except OSError:
        return  # one of the two hung up: the other end is told below
    finally:
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
