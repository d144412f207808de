"""Tokens from Google's metadata server: on Compute Engine, GKE, Cloud Run.

**Source:** cloud.google.com, "About VM metadata", "Authenticate workloads to Google Cloud APIs using service accounts".
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
from otagate.identity.interface import Bearer, Kind

_HOST = "GCE_METADATA_HOST"
_PLAIN = frozenset({"metadata.google.internal", "metadata"})
_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_FLAVOR = "Metadata-Flavor"
_PODS = ("K_SERVICE", "CLOUD_RUN_JOB")
_NOT_FOUND = 404
_DOING = "get a token from Google's metadata server"


def where(environ: Mapping[str, str], outside: Outside) -> Kind | None:
    """Say where Google's metadata server can be expected: POD, INSTANCE or None. Asks no network."""
    if _words.is_true(environ, "NO_GCE_CHECK"):
        return None
    if any(_words.value(environ, name) for name in _PODS):
        return Kind.POD
    is_google = _words.value(environ, _HOST) is not None or outside.machine("product_name") in {
        "Google",
        "Google Compute Engine",
    }
    if not is_google:
        return None
    return Kind.POD if _words.value(environ, "KUBERNETES_SERVICE_HOST") else Kind.INSTANCE


class Metadata:
    """Asks for tokens with some scopes."""

    def __init__(self, scopes: tuple[str, ...], environ: Mapping[str, str], outside: Outside) -> None:
        """Ask the server that GCE_METADATA_HOST names, or the usual one."""
        self._scopes, self._environ, self._outside = scopes, environ, outside

    def token(self) -> Bearer:
        """Ask.

        Raises:
            AccessError: It refuses.
            NoIdentityError: Nothing of Google's listens there, or there is no service account.
            UnavailableError: It does not answer.
            UsageError: GCE_METADATA_HOST may not be used.
        """
        host = _words.value(self._environ, _HOST) or "metadata.google.internal"
        base = _words.address(_HOST, f"http://{host}", _PLAIN, is_link_local_fine=True)
        url = f"{base}{_PATH}?{urlencode({'scopes': ','.join(self._scopes)})}"
        try:
            answer = send(Ask(_DOING, "GET", url, {_FLAVOR: "Google"}, is_local=True), self._outside)
        except NobodyThereError as error:
            raise NoIdentityError(f"nothing answers at {error.subject}") from error
        # Whoever else answers at that address does not say this.
        if answer.headers.get(_FLAVOR.lower()) != "Google":
            raise NoIdentityError(f"what answers at {base} is not Google's metadata server")
        if answer.status == _NOT_FOUND:
            raise NoIdentityError("the machine has no service account")
        if not answer.is_fine:
            told = _words.said(answer.body.decode("utf-8", "replace"))
            remedy = "give the machine or the pod a service account, with the scopes that it needs"
            raise AccessError(
                "Google's metadata server gives no token", "Google Cloud", None, f"HTTP {answer.status}: {told}", remedy
            )
        return bearer(answer, _DOING, base, self._outside.now())
