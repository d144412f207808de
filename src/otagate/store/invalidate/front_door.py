"""Azure Front Door, Standard and Premium."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from otagate._text import harmless
from otagate.errors import AccessError
from otagate.identity.interface import AzureCredential, Bearer, Identity, Link
from otagate.store.invalidate._post import Request, Target, Wire, endpoint, post
from otagate.store.invalidate.interface import check_paths

PERMISSION = "Microsoft.Cdn/profiles/afdEndpoints/purge/action"
_ENDPOINT = "https://management.azure.com"
_VERSION = "2024-02-01"
_MOST_PATHS = 100
"""**Source:** Azure Front Door, "Cache purging in Azure Front Door": 100 paths a request."""


class FrontDoor:
    """See Invalidator. **Source:** Azure REST API, "AFD Endpoints - Purge Content"."""

    def __init__(
        self, resource: str, identity: Callable[[], Identity[AzureCredential]], environ: Mapping[str, str], wire: Wire
    ) -> None:
        """Tell this endpoint (its resource id); ``identity`` is found when it is first needed.

        Raises:
            UsageError: ``OTAGATE_AZURE_MANAGEMENT_URL`` holds an address that is not on this machine.
        """
        self.where = f"Azure Front Door endpoint {resource.rstrip('/').rpartition('/')[2]}"
        base = endpoint(environ, "OTAGATE_AZURE_MANAGEMENT_URL", _ENDPOINT, local_only=True)
        self._url = f"{base}/{resource.strip('/')}/purge?api-version={_VERSION}"
        self._find = identity
        self._wire = wire

    @cached_property
    def _identity(self) -> Identity[AzureCredential]:
        return self._find()

    def links(self) -> tuple[Link, ...]:
        """See Invalidator.links."""
        return self._identity.links

    def invalidate(self, paths: Sequence[str]) -> str:
        """See Invalidator.invalidate."""
        check_paths(paths)
        batches = [paths[at : at + _MOST_PATHS] for at in range(0, len(paths), _MOST_PATHS)]
        return ", ".join(self._send(batch) for batch in batches)

    def _send(self, paths: Sequence[str]) -> str:
        body = json.dumps({"contentPaths": list(paths)}).encode()

        def make() -> Request:
            token = self._token()
            return Request(self._url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body, (token,))

        answer = post(make, Target(self.where, PERMISSION), self._wire)
        # Not `Location`: it carries a signed address.
        return harmless(answer.headers.get("x-ms-request-id", ""), 100)

    def _token(self) -> str:
        credential = self._identity.get()
        if isinstance(credential, Bearer):
            return credential.token
        raise AccessError(
            "a key of a storage account cannot tell Azure Front Door",
            self.where,
            expected="an identity of Microsoft Entra",
            found=self._identity.used.detail,
            remedy="set AZURE_CLIENT_ID and AZURE_TENANT_ID and use the CI's own identity; see docs/cdn.md",
        )
