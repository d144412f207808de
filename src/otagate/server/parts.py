"""Everything that a worker of the update server works with, made once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from otagate._clock import Clock
from otagate.model import Digest
from otagate.server.interface import Assign, Catalog, Intake, Links, Reply, Service

if TYPE_CHECKING:
    from otagate.server.learning import Learner
    from otagate.telemetry.interface import Telemetry


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """A request to the operators' side.

    Attributes:
        method: HTTP method.
        path: As decoded, without the query.
        query: Query parameters; of a repeated one the last.
        headers: With lower-case names.
        body: JSON value, or None.
        peer: The client's address, for rate limits.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: Any
    peer: str


class Admin(Protocol):
    """The operators' side. Called in a thread; never raises for what a client sends."""

    def handle(self, request: AdminRequest, now: datetime) -> Reply:
        """Answer ``/device`` and ``/api/v1/...``."""
        ...

    def may_read_metrics(self, authorization: str | None, peer: str, now: datetime) -> bool:
        """Tell whether a token with the ``metrics`` verb was sent."""
        ...

    def close(self, now: datetime) -> None:
        """Write down what is still to be written; called once, when no request is running any more."""
        ...


class Bundles(Protocol):
    """The bytes of bundles, when this server hands them out by itself."""

    def size(self, digest: Digest) -> int | None:
        """Give a bundle's size in bytes, or None when it is not there."""
        ...

    def open(self, digest: Digest, start: int = 0) -> AbstractContextManager[BinaryIO]:
        """Open it for reading from byte ``start`` on; see BlobStore.open."""
        ...


class Background(Protocol):
    """Something that runs beside the event loop: polling, retention."""

    def start(self) -> None:
        """Begin; returns when the first round is done, or was tried."""
        ...

    def stop(self) -> None:
        """End, within a few seconds."""
        ...


@dataclass(frozen=True, slots=True)
class ServerParts:
    """See the module.

    Attributes:
        service: The plugin's protocol.
        catalog: What is served.
        links: Where bundles are fetched.
        bundles: Their bytes when the server hands them out itself; None: it redirects to ``links``.
        telemetry: For health.
        choose: Makes a device's own choice of a channel durable, and known here at once; called in a thread. Raises
            UnavailableError.
        intake: Takes observations in.
        admin: The operators' side.
        background: Started before and stopped after serving, in order and in reverse.
        base_url: The public address of this server, without a slash at its end; None: as the request says.
        metrics_public: ``/metrics`` needs no token.
        clock: Time.
        learner: Looks releases up that this server has not heard of; None: they are not counted.
    """

    service: Service
    catalog: Catalog
    links: Links
    bundles: Bundles | None
    telemetry: Telemetry
    choose: Callable[[Assign, datetime], None]
    intake: Intake
    admin: Admin
    background: Sequence[Background]
    base_url: str | None
    metrics_public: bool
    clock: Clock
    learner: Learner | None = None
