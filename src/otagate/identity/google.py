"""Who otagate is to Google Cloud."""

from __future__ import annotations

from collections.abc import Mapping

from otagate.identity._outside import Outside
from otagate.identity.interface import Bearer, Identity, Kind

STORAGE_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
CLOUD_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def google_identity(
    provider: str | None,
    service_account: str | None,
    only: Kind | None,
    environ: Mapping[str, str],
    scopes: tuple[str, ...] = STORAGE_SCOPES,
    *,
    outside: Outside | None = None,
) -> Identity[Bearer]:
    """Find who we are to Google Cloud. Nothing is asked of the network before the first ``get``.

    Args:
        provider: ``projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME``; by default
            ``GOOGLE_WORKLOAD_IDENTITY_PROVIDER``.
        service_account: The e-mail address of the account to act as; by default ``GOOGLE_SERVICE_ACCOUNT``.
        only: One link to use, or None for the first that can.
        environ: The environment of the process.
        scopes: What the token is for; :data:`CLOUD_SCOPES` for the CDN.
        outside: Replaces clock, network and machine in tests.

    Raises:
        AccessError: No link can give credentials.
        UsageError: A name, or an address in the environment, may not be used.
    """
    raise NotImplementedError
