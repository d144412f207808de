"""Google Cloud CDN."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from otagate._retry import Patience
from otagate._text import harmless
from otagate.identity.interface import Bearer, Identity, Link
from otagate.store.invalidate._post import Request, Target, Wire, as_object, endpoint, post
from otagate.store.invalidate.interface import check_paths

PERMISSION = "compute.urlMaps.invalidateCache"
_ENDPOINT = "https://compute.googleapis.com/compute/v1"
_PATIENCE = Patience(total=150.0, longest=30.0)
"""One path a minute may be invalidated. **Source:** Cloud CDN, "Cache invalidation overview", rate limits."""


class CloudCdn:
    """See Invalidator. **Source:** Compute Engine API v1, "urlMaps.invalidateCache": one request a path."""

    def __init__(self, url_map: str, identity: Callable[[], Identity[Bearer]], environ: Mapping[str, str], wire: Wire) -> None:
        """Tell this URL map, ``projects/PROJECT/global/urlMaps/NAME``; ``identity`` is found when it is first needed.

        Raises:
            UsageError: ``CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`` holds an address that is not on this machine.
        """
        self.where = f"Cloud CDN {url_map}"
        base = endpoint(environ, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", _ENDPOINT, local_only=True)
        self._url = f"{base}/{url_map.strip('/')}/invalidateCache"
        self._find = identity
        self._wire = wire

    @cached_property
    def _identity(self) -> Identity[Bearer]:
        return self._find()

    def links(self) -> tuple[Link, ...]:
        """See Invalidator.links."""
        return self._identity.links

    def invalidate(self, paths: Sequence[str]) -> str:
        """See Invalidator.invalidate."""
        check_paths(paths)
        return ", ".join(self._send(path) for path in paths)

    def _send(self, path: str) -> str:
        # The same id with each attempt: a request whose answer was lost is not carried out twice.
        url, body = f"{self._url}?requestId={uuid.uuid4()}", json.dumps({"path": path}).encode()

        def make() -> Request:
            token = self._identity.get().token
            return Request(url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body, (token,))

        answer = post(make, Target(self.where, PERMISSION), self._wire, _PATIENCE)
        return harmless(str(as_object(answer.text).get("name", "")), 100)
