"""The one HTTP session to Google: who we are, how long an answer may take, and nothing repeated behind our back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, MutableMapping
from http import HTTPStatus
from urllib.parse import quote

from google.auth.credentials import AnonymousCredentials, Credentials, Signing
from google.auth.transport.requests import AuthorizedSession
from requests import Response
from requests.adapters import HTTPAdapter

from otagate.identity.interface import Bearer
from otagate.store.gcs_errors import failure, translated
from otagate.store.objects import TransientError

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two pieces of an answer."""
_CONNECTIONS = 32
"""Kept open; above the number of uploads at once, or the pool would complain in the log."""
_IAM = "https://iamcredentials.googleapis.com"
"""**Source:** IAM Service Account Credentials API, ``projects.serviceAccounts.signBlob``."""


class IdentityCredentials(Credentials):
    """Credentials as Google's libraries want them, from an identity of ours, which knows by itself when to renew a token."""

    def __init__(self, get: Callable[[], Bearer]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._get = get

    def refresh(self, request: object) -> None:
        """Take the token that is valid now."""
        self.token = self._get().token

    def before_request(self, request: object, method: str, url: str, headers: MutableMapping[str, str]) -> None:
        """Add the token to a request. Asked for anew each time, so that no thread sends another's outdated one."""
        token = self._get().token
        headers["authorization"] = f"Bearer {token}"


class Wire:
    """A session with the credentials of one identity. Safe to use from several threads."""

    def __init__(self, get: Callable[[], Bearer] | None) -> None:
        """Make a session; ``get`` gives the token for each request, None sends none."""
        self.credentials: Credentials = IdentityCredentials(get) if get else AnonymousCredentials()  # type: ignore[no-untyped-call]
        # Without status codes to refresh at: it would send a request again by itself.
        self.session = AuthorizedSession(self.credentials, refresh_status_codes=())  # type: ignore[no-untyped-call]
        adapter = HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=0)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)
        self.session.headers["User-Agent"] = "otagate"

    def request(
        self,
        method: str,
        url: str,
        permission: str,
        *,
        of_object: bool,
        accept: tuple[int, ...] = (),
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Response:
        """Carry out one request; see :func:`translated` for ``permission`` and ``of_object``.

        Args:
            method: GET, POST, PUT or DELETE.
            url: The whole address.
            permission: What it needs.
            of_object: What 404 means.
            accept: Further statuses that are no failure.
            data: The body to send.
            headers: Further headers.
            stream: Whether the body is read later, by the caller, who then must close the answer.

        Raises:
            ObjectError: It was not done.
        """
        with translated(permission, of_object=of_object):
            response: Response = self.session.request(  # type: ignore[no-untyped-call]
                method, url, data=data, headers=dict(headers or {}), timeout=TIMEOUT, stream=stream, allow_redirects=False
            )
        if response.ok and response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return response
        if response.status_code in accept:
            return response
        with response:
            raise failure(response, permission, of_object=of_object)


class IamSigner(Signing):
    """Signs with the key that Google holds for a service account. No key is on this machine.

    **Source:** IAM Service Account Credentials API, ``signBlob``: needs ``iam.serviceAccounts.signBlob`` on the account itself.
    """

    def __init__(self, wire: Wire, email: str, host: str = _IAM) -> None:
        """Sign as the service account of that e-mail address."""
        self._wire, self._email, self._host = wire, email, host

    @property
    def signer_email(self) -> str:
        """The service account."""
        return self._email

    @property
    def signer(self) -> IamSigner:
        """Itself: the library only looks whether there is one."""
        return self

    def sign_bytes(self, message: bytes) -> bytes:
        """Sign with RSA and SHA-256, at Google."""
        permission = "iam.serviceAccounts.signBlob"
        payload = base64.b64encode(message).decode()
        answer = self._wire.request(
            "POST",
            f"{self._host}/v1/projects/-/serviceAccounts/{quote(self._email, safe='@')}:signBlob",
            permission,
            of_object=True,
            data=b'{"payload":"%s"}' % payload.encode(),
            headers={"Content-Type": "application/json"},
        )
        with translated(permission, of_object=True):
            signed = answer.json().get("signedBlob")
        if not isinstance(signed, str):
            raise TransientError("the answer holds no signature")
        return base64.b64decode(signed)
