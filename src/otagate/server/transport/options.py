"""What a caller says about how to serve, and what it has to give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from otagate.errors import UsageError

MAX_WORKERS = 64
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to serve.

    Attributes:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        workers: Processes. One: this process serves. More: this process watches over them.
        tls_cert: PEM file with the certificate and its chain, or None: plain HTTP.
        tls_key: PEM file with its key, or None: it stands in ``tls_cert``.
        trusted_proxies: Addresses or networks (CIDR) whose ``X-Forwarded-For`` is believed.
        max_connections: Open connections of one worker.
        max_connections_per_address: ... from one address; trusted proxies are exempt.
        in_flight: Requests of one worker that are being answered; more are told 503.
        drain_s: Seconds that requests have to end after SIGTERM.
        ready_file: Where a JSON file is put when all workers answer.
        log_format: ``text`` or ``json``.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_connections: int = 4096
    max_connections_per_address: int = 512
    in_flight: int = 512
    drain_s: float = 10.0
    ready_file: Path | None = None
    log_format: str = "text"

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: A number is out of its range, or a key stands without a certificate.
        """
        _within("--port", self.port, 0, MAX_PORT)
        _within("--workers", self.workers, 1, MAX_WORKERS)
        for name in ("max_connections", "max_connections_per_address", "in_flight"):
            _within("--" + name.replace("_", "-"), getattr(self, name), 1, 1_000_000)
        _within("--drain", self.drain_s, 0, 3600)
        if self.tls_key is not None and self.tls_cert is None:
            raise UsageError("a TLS key without a certificate", "--tls-key", remedy="give --tls-cert as well")
        if self.log_format not in {"text", "json"}:
            raise UsageError("no such log format", "--log-format", expected="text or json", found=self.log_format)


def _within(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError("a number is out of its range", option, expected=f"{low} to {high}", found=str(value))


class App(Protocol):
    """An ASGI application with a beginning and an end. One is made in each worker."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; only scopes of type ``http`` come. ``receive`` gives the whole body at once.

        ``scope["client"]`` is the client's address behind trusted proxies, ``scope["state"]["traffic"]`` the worker's
        Traffic. ``X-Forwarded-*`` and ``Forwarded`` are only among the headers when a trusted proxy sent them.
        """
        ...

    async def start(self) -> None:
        """Get ready to answer.

        Raises:
            OtagateError: It cannot.
        """
        ...

    async def stop(self) -> None:
        """Make durable what was promised, and let go. No request is running any more."""
        ...


MakeApp = Callable[[], App]
"""Must be picklable when there is more than one worker: a top-level function, or a partial of one with picklable values."""
