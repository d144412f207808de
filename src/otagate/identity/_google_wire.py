"""google-auth's transport over our wire: the only module that needs google-auth to be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.auth import exceptions, identity_pool, transport

from otagate._text import harmless
from otagate.errors import AccessError, OtagateError
from otagate.identity import _words
from otagate.identity._claims import Claims
from otagate.identity._outside import Outside
from otagate.identity._wire import Answer, Ask, send

_DOING = "get a token of Google"
_REMEDIES = {
    "invalid_target": "check the provider's name (NUMBER is the project's number), and that pool and provider are enabled",
    "invalid_grant": "give the provider this issuer and audience; docs/stores.md has the command",
    "unauthorized_client": "let the provider's attribute condition allow just this sub; docs/stores.md has the command",
    "PERMISSION_DENIED": "grant roles/iam.workloadIdentityUser on the account to the pool's principal; enable iamcredentials",
    "NOT_FOUND": "check the service account's address",
}


class Supplier(identity_pool.SubjectTokenSupplier):
    """Gives google-auth the CI's token."""

    def __init__(self, token: str) -> None:
        """Give ``token``."""
        self._token = token

    def get_subject_token(self, context: object, request: object) -> str:
        """See SubjectTokenSupplier."""
        return self._token


class _Response(transport.Response):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.body


class GoogleWire(transport.Request):
    """Carries google-auth's requests, and remembers the last refusal for the message."""

    def __init__(self, outside: Outside, secrets: tuple[str, ...], claims: Claims | None) -> None:
        """Hide ``secrets`` in what is shown; ``claims`` are those of the token that is exchanged."""
        self._outside, self._secrets, self._claims = outside, secrets, claims
        self._refusal: Answer | None = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> _Response:
        """See google.auth.transport.Request. An address that tokens must not go to is a UsageError of ours.

        Raises:
            UsageError: Such an address.
            UnavailableError: There was no answer in time.
        """
        good = _words.address("the address in the credentials of Google", url)
        content = body.encode() if isinstance(body, str) else body
        answer = send(Ask(_DOING, method, good, headers or {}, body=content), self._outside)
        self._refusal = None if answer.is_fine else answer
        return _Response(answer)

    def explained(self, error: exceptions.GoogleAuthError, subject: str) -> OtagateError:
        """Give our error for one of google-auth's: what the service said, and what to mend."""
        expected = f"a provider whose condition allows {self._claims.shown}" if self._claims else None
        shown = harmless(subject, 160)
        if self._refusal is None:
            # google-auth's own words: they may quote a file.
            found = _words.said(type(error).__name__)
            return AccessError("Google's credentials cannot be used", shown, expected, found, "check the file of credentials")
        code, told = _reason(_words.table(self._refusal.body))
        found = f"{code or f'HTTP {self._refusal.status}'}: {_words.said(told, self._secrets)}"
        remedy = _REMEDIES.get(code, "check the provider, its condition and the service account; see docs/stores.md")
        return AccessError("Google refuses the identity", shown, expected, found, remedy)


def _reason(found: Mapping[str, Any]) -> tuple[str, str]:
    """Read an OAuth error (``error``, ``error_description``) or an API's (``error.status``, ``error.message``)."""
    error = found.get("error")
    if isinstance(error, dict):
        return _words.said(_words.text_of(error, "status") or ""), _words.text_of(error, "message") or ""
    return _words.said(str(error or "")), _words.text_of(found, "error_description") or ""
