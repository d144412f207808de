"""Tokens of managed identities: in App Service and Container Apps, and on virtual machines.

**Sources:** learn.microsoft.com, "How to use managed identities for App Service" (REST endpoint reference), "How to use managed
identities on a virtual machine to acquire an access token", "Azure Instance Metadata Service".
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from otagate.errors import AccessError
from otagate.identity import _words
from otagate.identity._chain import NoIdentityError
from otagate.identity._oauth import bearer
from otagate.identity._outside import Outside
from otagate.identity._wire import Ask, NobodyThereError, send
from otagate.identity.interface import Bearer

_APP_ENDPOINT, _APP_HEADER = "IDENTITY_ENDPOINT", "IDENTITY_HEADER"
_MACHINE_HOST = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
"""The variable by which Azure's own libraries move the machine's metadata service."""
_CHASSIS = "7783-7084-3265-9085-8269-3286-77"
"""What the firmware of every Azure machine has as asset tag; the vendor alone may be any Hyper-V."""
_DOING = "get a token of the managed identity"
_NO_IDENTITY = frozenset({400, 404})


def app_endpoint(environ: Mapping[str, str]) -> str | None:
    """Give the address of App Service's or Container Apps' token service, or None.

    Raises:
        UsageError: It is neither https, nor on this machine, nor link-local.
    """
    endpoint = _words.value(environ, _APP_ENDPOINT)
    if endpoint is None or _words.value(environ, _APP_HEADER) is None:
        return None
    return _words.address(_APP_ENDPOINT, endpoint, is_link_local_fine=True)


def is_azure(environ: Mapping[str, str], outside: Outside) -> bool:
    """Whether the firmware says that this is Azure, or somebody named its metadata service. Asks no network."""
    return _words.value(environ, _MACHINE_HOST) is not None or outside.machine("chassis_asset_tag") == _CHASSIS


class Metadata:
    """Asks for tokens of one identity and for one scope."""

    def __init__(self, client: str | None, scope: str, environ: Mapping[str, str], outside: Outside) -> None:
        """Ask for the identity ``client``, or for the machine's own."""
        self._environ, self._outside = environ, outside
        self._query = {"resource": scope.removesuffix("/.default"), **({"client_id": client} if client else {})}

    def of_app(self, endpoint: str) -> Bearer:
        """Ask App Service or Container Apps.

        Raises:
            AccessError: The app has no such identity.
            NoIdentityError: Nothing listens there.
            UnavailableError: It does not answer.
        """
        header = _words.value(self._environ, _APP_HEADER) or ""
        url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **self._query})}"
        return self._token(
            Ask(_DOING, "GET", url, {"X-IDENTITY-HEADER": header}, is_local=True, is_patient=True), frozenset(), header
        )

    def of_machine(self) -> Bearer:
        """Ask the machine's metadata service.

        Raises:
            AccessError: It refuses.
            NoIdentityError: Nothing listens there, or the machine has no such identity.
            UnavailableError: It does not answer.
            UsageError: AZURE_POD_IDENTITY_AUTHORITY_HOST may not be used.
        """
        host = _words.value(self._environ, _MACHINE_HOST) or "http://169.254.169.254"
        base = _words.address(_MACHINE_HOST, host, is_link_local_fine=True)
        url = f"{base}/metadata/identity/oauth2/token?{urlencode({'api-version': '2018-02-01', **self._query})}"
        return self._token(Ask(_DOING, "GET", url, {"Metadata": "true"}, is_local=True, is_patient=True), _NO_IDENTITY, "")

    def _token(self, ask: Ask, no_identity: frozenset[int], hidden: str) -> Bearer:
        try:
            answer = send(ask, self._outside)
        except NobodyThereError as error:
            raise NoIdentityError(f"nothing answers at {error.subject}") from error
        if not answer.is_fine:
            found = _words.table(answer.body)
            told = _words.text_of(found, "error_description") or _words.text_of(found, "message") or ""
            shown = f"HTTP {answer.status}: {_words.said(told, [hidden])}"
            if answer.status in no_identity:
                raise NoIdentityError(f"the machine has no such identity ({shown})")
            remedy = "give the app or machine a managed identity, and name it with `client=` when it is not the only one"
            raise AccessError("the managed identity gives no token", "Azure", None, shown, remedy)
        return bearer(answer, _DOING, ask.where, self._outside.now())
