"""Which paths there are, with which methods. What is not here is told 404, and a method that is not here 405."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from otagate.server.http.downloads import PREFIX
from otagate.server.http.rates import RouteClass


class Kind(StrEnum):
    """Who answers; the name of a route in figures and logs, too."""

    UPDATES = "updates"
    STATS = "stats"
    CHANNEL_SELF = "channel_self"
    BUNDLES = "bundles"
    DEVICE = "device"
    API = "api"
    HEALTHZ = "healthz"
    LIVEZ = "livez"
    METRICS = "metrics"
    OPENAPI = "openapi"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    """One path.

    Attributes:
        kind: Who answers.
        methods: Methods that it has.
        limited: Whose tokens a request costs, or None: whoever watches the server must always be answered.
    """

    kind: Kind
    methods: frozenset[str]
    limited: RouteClass | None

    @property
    def allow(self) -> bytes:
        """The Allow header."""
        return ", ".join(sorted(self.methods)).encode()


def _route(kind: Kind, methods: str, limited: RouteClass | None = None) -> Route:
    return Route(kind, frozenset(methods.split()), limited)


UNKNOWN = _route(Kind.UNKNOWN, "", RouteClass.ADMIN)
BUNDLES = _route(Kind.BUNDLES, "GET HEAD", RouteClass.DOWNLOADS)
_DEVICE = _route(Kind.DEVICE, "DELETE GET POST", RouteClass.ADMIN)
_API = _route(Kind.API, "GET", RouteClass.ADMIN)
ROUTES: Mapping[str, Route] = {
    "/updates": _route(Kind.UPDATES, "POST", RouteClass.UPDATES),
    "/stats": _route(Kind.STATS, "POST", RouteClass.STATS),
    "/channel_self": _route(Kind.CHANNEL_SELF, "DELETE GET POST PUT", RouteClass.CHANNEL_SELF),
    "/device": _DEVICE,
    "/device/": _DEVICE,  # Capgo's documents show both
    "/api/v1/metrics": _API,
    "/api/v1/side-by-side": _API,
    "/api/v1/releases": _API,
    "/api/v1/active": _API,
    "/api/v1/heard": _API,
    "/api/v1/plugins": _API,
    "/api/v1/in-use": _API,
    "/healthz": _route(Kind.HEALTHZ, "GET HEAD"),
    "/livez": _route(Kind.LIVEZ, "GET HEAD"),
    "/metrics": _route(Kind.METRICS, "GET", RouteClass.ADMIN),
    "/openapi.json": _route(Kind.OPENAPI, "GET HEAD", RouteClass.ADMIN),
}


def find(path: str) -> Route:
    """Give the route of a path, matched exactly."""
    route = ROUTES.get(path)
    if route is None:
        route = BUNDLES if path.startswith(PREFIX) else UNKNOWN
    return route
