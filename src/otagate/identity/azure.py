"""Who otagate is to Azure: its storage, and Front Door."""

from __future__ import annotations

from collections.abc import Mapping

from otagate.identity._outside import Outside
from otagate.identity.interface import AzureCredential, Identity, Kind

STORAGE_SCOPE = "https://storage.azure.com/.default"
MANAGEMENT_SCOPE = "https://management.azure.com/.default"


def azure_identity(
    client: str | None,
    tenant: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    scope: str = STORAGE_SCOPE,
    *,
    outside: Outside | None = None,
) -> Identity[AzureCredential]:
    """Find who we are to Azure. Nothing is asked of the network before the first ``get``.

    Args:
        client: The id of the app registration or managed identity; by default ``AZURE_CLIENT_ID``.
        tenant: The directory's id; by default ``AZURE_TENANT_ID``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        scope: What the token is for. Account keys and shared access signatures only count for :data:`STORAGE_SCOPE`.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: An id, or an address in the environment, may not be used.
    """
    raise NotImplementedError
