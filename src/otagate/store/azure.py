"""A container of Azure Blob Storage.

What protects the bytes on the way: TLS, and reading back what was published. obstore sends no checksum to Azure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from otagate._text import harmless
from otagate.errors import UsageError
from otagate.identity.azure import azure_identity
from otagate.identity.interface import AzureAccountKey, AzureCredential, AzureSas, Bearer, Identity
from otagate.store.objects import DeniedError, UnsupportedError
from otagate.store.obstore_client import Credentials, retries
from otagate.store.obstore_errors import Operation
from otagate.store.obstore_objects import ObstoreObjects
from otagate.store.url import BucketUrl

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_WRITE = f"{_BLOBS}/write (role Storage Blob Data Contributor)"
PERMISSIONS = {
    Operation.READ: f"{_BLOBS}/read (role Storage Blob Data Reader)",
    Operation.WRITE: _WRITE,
    Operation.CONDITIONAL: _WRITE,
    Operation.DELETE: f"{_BLOBS}/delete (role Storage Blob Data Contributor)",
    Operation.LIST: f"{_BLOBS}/read (role Storage Blob Data Reader)",
    Operation.SIGN: "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey (role Storage Blob Delegator)",
}
"""**Source:** Azure, "Authorize access to blobs using Microsoft Entra ID" and "Permissions for calling data operations"."""

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}", re.ASCII)
"""**Source:** Azure, "Storage account overview: storage account name"."""


def open_objects(url: BucketUrl, environ: Mapping[str, str]) -> AzureObjects:
    """Open the container that an ``az://`` URL names. Nothing is asked of the network.

    Raises:
        UsageError: No account is named, or its name cannot be one.
        AccessError: No credentials can be had.
    """
    account = (url.options.get("account") or environ.get("AZURE_STORAGE_ACCOUNT_NAME") or "").strip()
    if not _ACCOUNT.fullmatch(account):
        raise UsageError(
            "this is not the name of a storage account" if account else "the storage account is not known",
            url.shown,
            expected="account= in the URL, or AZURE_STORAGE_ACCOUNT_NAME: 3 to 24 letters and digits",
            found=harmless(account, 40) if account else None,
            remedy=f"write {url.shown}?account=NAME",
        )
    client, tenant = url.options.get("client"), url.options.get("tenant")
    identity = azure_identity(client, tenant, url.identity, environ, is_foreign=url.is_foreign)
    return AzureObjects(url, account, identity)


class AzureObjects(ObstoreObjects):
    """See Objects."""

    permissions = PERMISSIONS

    def __init__(self, url: BucketUrl, account: str, identity: Identity[AzureCredential]) -> None:
        self._endpoint = url.options.get("endpoint") or f"https://{account}.blob.core.windows.net"
        super().__init__(f"az://{url.bucket} at {self._endpoint}", self._endpoint, Credentials(identity, _shape))
        self._container, self._account = url.bucket, account

    def _make(self, use: str, options: ClientConfig) -> AzureStore:
        from obstore.store import AzureStore  # noqa: PLC0415 - as late as obstore itself

        config: Any = {
            "account_name": self._account,
            "endpoint": self._endpoint,
            "use_emulator": False,
            "use_fabric_endpoint": False,
            "skip_signature": False,
        }
        return AzureStore(
            self._container,
            config=config,
            client_options=options,
            retry_config=retries(use),
            credential_provider=self._credentials,
        )

    def sign(self, key: str, lifetime: timedelta) -> str:
        """See Objects.sign. With an account key nothing is asked; with a token the service lends a key for it."""
        try:
            return super().sign(key, lifetime)
        except DeniedError as error:
            needed = f"; it needs {error.permission}" if error.permission else ""
            raise UnsupportedError(f"{error.reason}{needed}") from None

    def address(self, key: str) -> str:
        """See Objects.address."""
        return f"{self._endpoint}/{quote(self._container, safe='$')}/{quote(key)}"

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """Give 0: what an upload left are uncommitted blocks, and the service drops those a week after the last.

        **Source:** Azure, "Put Block", remarks.
        """
        return 0


def _shape(credential: AzureCredential) -> dict[str, Any]:
    match credential:
        case Bearer():
            return {"token": credential.token, "expires_at": credential.expires}
        case AzureAccountKey():
            return {"access_key": credential.key, "expires_at": None}
        case AzureSas():
            return {"sas_token": credential.query, "expires_at": None}
