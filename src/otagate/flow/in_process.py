"""An update server without sockets, for virtual devices: the same service and the same telemetry, called directly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otagate.errors import NotFoundError
from otagate.fleet.interface import Response
from otagate.model import Digest
from otagate.server.http.downloads import PREFIX

if TYPE_CHECKING:
    from otagate.server.interface import Assign, Reply, Service
    from otagate.server.parts import Bundles
    from otagate.telemetry.interface import Telemetry
    from otagate.telemetry.model import Observation

_GROUP = 1000
"""Observations that are recorded together, as the server's own group commit would."""


class InProcess:
    """See fleet.interface.Transport. For one thread.

    Args:
        service: The plugin's protocol.
        telemetry: Where observations go.
        bundles: Their bytes.
        choose: Takes a device's own choice of a channel; see ServerParts.
        base: The address that devices were given, without a slash at its end.
    """

    def __init__(
        self,
        service: Service,
        telemetry: Telemetry,
        bundles: Bundles,
        choose: Callable[[Assign, datetime], None],
        base: str = "http://updates.invalid",
    ) -> None:
        self._service = service
        self._telemetry = telemetry
        self._stored = bundles
        self._choose = choose
        self._base = base
        self._waiting: list[Observation] = []
        self._bundles: dict[str, bytes] = {}

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        """See Transport.request."""
        now = datetime.fromtimestamp(at, UTC)
        path = urlsplit(url).path
        if path == "/updates" and method == "POST":
            reply = self._service.updates(body, now, self._base)
        elif path == "/stats" and method == "POST":
            reply = self._service.stats(body, now)
        elif path == "/channel_self":
            reply = self._service.channel_self(method, body, now)
        else:
            return Response(404, {"error": "not_found", "message": path}, {})
        return self._taken(reply, now)

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        """See Transport.download."""
        name = urlsplit(url).path.removeprefix(PREFIX)
        try:
            content = self._bundles.get(name) or self._read(Digest(name))
        except NotFoundError:
            return Response(404, {"error": "not_found", "message": name}, {})
        return Response(206 if start else 200, content[start:], {"content-length": str(len(content) - start)})

    def flush(self) -> None:
        """Record what waits."""
        waiting, self._waiting = self._waiting, []
        self._telemetry.record(waiting)

    def _taken(self, reply: Reply, now: datetime) -> Response:
        if reply.assign is not None:
            self._choose(reply.assign, now)
        self._waiting += reply.observations
        if len(self._waiting) >= _GROUP:
            self.flush()
        headers = {} if reply.retry_after_s is None else {"retry-after": str(reply.retry_after_s)}
        return Response(reply.status, reply.body, headers)

    def _read(self, digest: Digest) -> bytes:
        with self._stored.open(digest) as stream:
            content = self._bundles[digest.hex] = stream.read()
        return content
