"""Tokens from Microsoft Entra: for a federated token, or for an app's secret.

**Source:** Microsoft identity platform, "OAuth 2.0 client credentials flow".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NoReturn

from otagate._text import harmless
from otagate.errors import AccessError
from otagate.identity import _words
from otagate.identity._claims import Claims, read_claims
from otagate.identity._oauth import bearer
from otagate.identity._outside import Outside
from otagate.identity._wire import Answer, Ask, send
from otagate.identity.interface import Bearer

Fetch = Callable[[], Bearer]

AUDIENCE = "api://AzureADTokenExchange"
"""What a federated credential expects unless it is told otherwise."""
_AUTHORITY, _VARIABLE = "https://login.microsoftonline.com", "AZURE_AUTHORITY_HOST"
_DOING = "get a token from Microsoft Entra"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CODE = re.compile(r"AADSTS([0-9]{4,8})", re.ASCII)
# **Source:** learn.microsoft.com, "Microsoft Entra authentication and authorization error codes".
_REMEDIES = {
    "70021": "add a federated credential with just this iss, sub and aud to the app; docs/stores.md has the command",
    "700211": "add a federated credential with this iss to the app; docs/stores.md has the command",
    "700212": "give the app's federated credential this aud",
    "700213": "give the app's federated credential just this sub; docs/stores.md has the command",
    "700016": "check the client's id and the tenant: the app is not in that directory",
    "90002": "check the tenant's id",
    "700024": "run otagate earlier in the job, or in a job of its own: the token is not valid now",
    "7000215": "renew the app's secret; better, use the CI's own identity (docs/stores.md)",
    "7000222": "renew the app's secret; better, use the CI's own identity (docs/stores.md)",
}


class Entra:
    """Gets tokens for one app and one scope."""

    def __init__(self, client: str, tenant: str, scope: str, environ: Mapping[str, str], outside: Outside) -> None:
        """Ask for ``client`` in ``tenant``; both are checked to hold nothing but what an id does.

        Raises:
            UsageError: AZURE_AUTHORITY_HOST is not https, nor on this machine.
        """
        given = _words.value(environ, _VARIABLE)
        # The variable may hold a bare host: Azure's own tools take both.
        full = given if given is None or "://" in given else f"https://{given}"
        authority = _AUTHORITY if full is None else _words.address(_VARIABLE, full)
        self._client, self._scope, self._outside = client, scope, outside
        self._url = f"{authority}/{tenant}/oauth2/v2.0/token"

    def by_assertion(self, token: str, claims: Claims | None) -> Bearer:
        """Exchange a federated token.

        Raises:
            AccessError: Entra refuses: with its words and what the federated credential must name.
            UnavailableError: It does not answer.
        """
        proof = {"client_assertion_type": _ASSERTION, "client_assertion": token}
        expected = f"a federated credential that allows {claims.shown}" if claims else "a token that the app trusts"
        return self._token(proof, token, expected)

    def by_file(self, path: str, name: str) -> Bearer:
        """Exchange the token that the platform keeps fresh in a file; ``name`` is the variable that names it.

        Raises:
            AccessError: The file cannot be read, or Entra refuses.
            UnavailableError: Entra does not answer.
        """
        text = _words.read_small(path)
        if not text:
            remedy = f"check {name}, and that this user may read the file"
            raise AccessError("the pod's token cannot be read", harmless(path), "a token", "nothing", remedy)
        return self.by_assertion(text, read_claims(text))

    def by_secret(self, secret: str) -> Bearer:
        """Show the app's secret.

        Raises:
            AccessError: Entra refuses.
            UnavailableError: It does not answer.
        """
        return self._token({"client_secret": secret}, secret, None)

    def _token(self, proof: Mapping[str, str], hidden: str, expected: str | None) -> Bearer:
        form = {"grant_type": "client_credentials", "client_id": self._client, "scope": self._scope, **proof}
        answer = send(Ask(_DOING, "POST", self._url, form=form), self._outside)
        if not answer.is_fine:
            self._refuse(answer, hidden, expected)
        return bearer(answer, _DOING, self._url, self._outside.now())

    def _refuse(self, answer: Answer, hidden: str, expected: str | None) -> NoReturn:
        found = _words.table(answer.body)
        # Behind the first line stand ids of the request and a time.
        told = (_words.text_of(found, "error_description") or "").partition("\r")[0].partition("Trace ID")[0].partition("\n")[0]
        match = _CODE.search(told)
        remedy = _REMEDIES.get(
            match[1] if match else "", "check the app, its federated credentials and the tenant; see docs/stores.md"
        )
        error = _words.said(_words.text_of(found, "error") or f"HTTP {answer.status}", [hidden])
        raise AccessError(
            "Microsoft Entra refuses the app",
            f"app {self._client}",
            expected,
            f"{error}: {_words.said(told, [hidden])}",
            remedy,
        )
