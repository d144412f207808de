"""Who asks a cloud's metric store: the identity of the CI job or machine, put into the headers of a request.

A token goes to the cloud's own hosts; to others only with keys that the environment holds for them, and never over plain HTTP
beyond this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otagate.errors import OtagateError
from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets
from otagate.gate.sources._identities import Identities
from otagate.policy.model.vendors import CloudAuth

if TYPE_CHECKING:
    from otagate.identity._outside import Outside
    from otagate.identity.interface import AwsKeys
    from otagate.identity.interface import Bearer as Token

_SECRET = frozenset({"Authorization", "X-Amz-Security-Token"})

Headers = tuple[tuple[str, str], ...]

GOOGLE_SCOPES = ("https://www.googleapis.com/auth/monitoring.read",)
"""What a token for Cloud Monitoring is for. **Source:** Google, "Cloud Monitoring: Access control", API scopes."""
AZURE_SCOPE = "https://api.loganalytics.io/.default"
"""What a token for Log Analytics is for. **Source:** Microsoft's own client libraries ask for it, also for the endpoint
``api.loganalytics.azure.com``; a directory may not know the newer name of the resource."""

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_GOOGLE_HOSTS = (".googleapis.com",)
_AZURE_HOSTS = (
    ".loganalytics.azure.com",
    ".loganalytics.io",
    ".loganalytics.us",
    ".loganalytics.azure.cn",
    ".monitor.azure.com",
)
_SOVEREIGN = {host: f"https://{host}/.default" for host in ("api.loganalytics.us", "api.loganalytics.azure.cn")}
_PROMETHEUS = "prometheus.monitor.azure.com"
"""Managed Prometheus: the hosts of its workspaces end so, and its tokens are for this one. **Source:** Microsoft, "Query
Prometheus metrics using the API"."""


class CloudSigner:
    """Signs the requests of one source. The identity is looked for at the first request, and kept for all that share it."""

    def __init__(
        self,
        auth: CloudAuth,
        url: str,
        environ: Mapping[str, str],
        *,
        service: str = "monitoring",
        region: str | None = None,
        outside: Outside | None = None,
        identities: Identities | None = None,
    ) -> None:
        """Sign for one endpoint.

        Args:
            auth: Which cloud; ``NONE`` adds nothing.
            url: Where the source is; requests go to the same host.
            environ: The environment of the process.
            service: With AWS the service's name in signatures: ``monitoring`` or ``aps``.
            region: With AWS its region; by default ``AWS_REGION``, then ``AWS_DEFAULT_REGION``.
            outside: Replaces clock, network and machine in tests.
            identities: Shared with other sources; None: its own.
        """
        self._auth = auth
        self._url = url
        self._environ = environ
        self._service = service
        self._region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        self._outside = outside
        self._identities = identities or Identities()
        self.words: tuple[str, ...] = ()
        """What of the last request's headers must not be shown."""

    def headers_for(self, method: str, url: str, body: str | None, headers: Headers, subject: str) -> Headers:
        """Give the headers to send: those given, and what proves who asks. They are secrets.

        Args:
            method: In capitals.
            url: As it is sent.
            body: As it is sent, or None.
            headers: What else is sent and belongs under the signature, such as ``Content-Type``.
            subject: Names the source in messages.

        Raises:
            SourceError: There is no identity, it is refused, or the request would show it to others.
        """
        if self._auth is CloudAuth.NONE:
            return headers
        self._refuse_open(url, subject)
        try:
            added = self._added(method, url, body, headers, subject)
        except SourceError:
            raise
        except OtagateError as error:
            found = "; ".join(part for part in (error.what, error.found, *error.details) if part)
            raise SourceError("a metric source has no identity", subject, error.expected, found, error.remedy) from error
        self.words = _secrets.words_of(value for name, value in added if name in _SECRET)
        return added

    def _added(self, method: str, url: str, body: str | None, headers: Headers, subject: str) -> Headers:
        if self._auth is not CloudAuth.AWS:
            return (*headers, ("Authorization", f"Bearer {self._bearer().token}"))
        from otagate.gate.sources._sigv4 import Scope, signed  # noqa: PLC0415 - only AWS needs it
        from otagate.identity._outside import Outside  # noqa: PLC0415 - likewise

        if not self._region:
            remedy = "name it with `region` of the source or AWS_REGION"
            raise SourceError("a metric source has no region", subject, "such as eu-central-1", None, remedy)
        now = (self._outside or Outside()).now()
        scope = Scope(self._region, self._service)
        return signed(method, url, (body or "").encode(), headers, scope=scope, keys=self._aws(), now=now)

    def _refuse_open(self, url: str, subject: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "https" or _is_here(parts.hostname or ""):
            return
        remedy = "write https:// into `url` of the source"
        raise SourceError("a metric source would show its credentials to others", subject, "https", parts.scheme, remedy)

    def _is_foreign(self, hosts: Iterable[str]) -> bool:
        host = urlsplit(self._url).hostname or ""
        return not any(f".{host}".endswith(ending) for ending in hosts)

    def _aws(self) -> AwsKeys:
        from otagate.identity.aws import aws_identity  # noqa: PLC0415 - only who reads from AWS pays

        foreign = self._is_foreign(_AWS_HOSTS)
        environ, outside = self._environ, self._outside
        found: AwsKeys = self._identities.get(
            (self._auth, foreign), lambda: aws_identity(None, None, None, environ, is_foreign=foreign, outside=outside).get
        )
        return found

    def _bearer(self) -> Token:
        from otagate.identity.interface import Bearer  # noqa: PLC0415 - only who reads from these clouds pays

        found = self._azure() if self._auth is CloudAuth.AZURE else self._google()
        if not isinstance(found, Bearer):
            raise TypeError(found)  # account keys are for storage only
        return found

    def _google(self) -> Any:
        from otagate.identity.google import google_identity  # noqa: PLC0415 - likewise

        foreign = self._is_foreign(_GOOGLE_HOSTS)
        environ, outside = self._environ, self._outside
        return self._identities.get(
            (self._auth, foreign),
            lambda: google_identity(None, None, None, environ, GOOGLE_SCOPES, is_foreign=foreign, outside=outside).get,
        )

    def _azure(self) -> Any:
        from otagate.identity.azure import azure_identity  # noqa: PLC0415 - likewise

        foreign = self._is_foreign(_AZURE_HOSTS)
        host = urlsplit(self._url).hostname or ""
        is_prometheus = host.endswith(f".{_PROMETHEUS}")
        scope = f"https://{_PROMETHEUS}/.default" if is_prometheus else _SOVEREIGN.get(host, AZURE_SCOPE)
        environ, outside = self._environ, self._outside
        return self._identities.get(
            (self._auth, foreign, scope),
            lambda: azure_identity(None, None, None, environ, scope, is_foreign=foreign, outside=outside).get,
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
