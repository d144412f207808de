"""Signed addresses of Cloud Storage objects, with the key that Google holds for a service account.

**Source:** Cloud Storage, "V4 signing process with your own program"; IAM Service Account Credentials API, ``signBlob``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from otagate._text import harmless
from otagate.store.gcs_wire import Wire, table
from otagate.store.objects import MissingObjectError, TransientError, UnsupportedError

_IAM = "https://iamcredentials.googleapis.com"
_PERMISSION = "iam.serviceAccounts.signBlob"
_LONGEST = timedelta(days=7)
"""**Source:** as above: ``X-Goog-Expires`` is at most 604800."""
_ALGORITHM = "GOOG4-RSA-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as a service account.

    Attributes:
        wire: Gives the client; its token needs the scope ``cloud-platform``, and its holder ``signBlob`` on the account.
        account: The service account's e-mail address.
        iam: Where the signing is done.
    """

    wire: Callable[[], Wire]
    account: str
    iam: str = _IAM

    def address(self, place: str, lifetime: timedelta, now: datetime) -> str:
        """Give ``place``, an object's plain and quoted address, in a form that holds for ``lifetime``.

        Raises:
            UnsupportedError: ``lifetime`` is more than 7 days.
            ObjectError: It was not signed.
        """
        if lifetime > _LONGEST:
            raise UnsupportedError("Google signs addresses for at most 7 days")
        parts, at = urlsplit(place), now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/auto/storage/goog4_request"
        query = "&".join(
            f"{name}={quote(value, safe='~')}"
            for name, value in (
                ("X-Goog-Algorithm", _ALGORITHM),
                ("X-Goog-Credential", f"{self.account}/{scope}"),
                ("X-Goog-Date", at),
                ("X-Goog-Expires", str(int(lifetime.total_seconds()))),
                ("X-Goog-SignedHeaders", "host"),
            )
        )
        asked = "\n".join(("GET", parts.path, query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"))
        text = "\n".join((_ALGORITHM, at, scope, hashlib.sha256(asked.encode()).hexdigest()))
        return f"{place}?{query}&X-Goog-Signature={self._sign(text.encode()).hex()}"

    def _sign(self, message: bytes) -> bytes:
        payload = json.dumps({"payload": base64.b64encode(message).decode()}).encode()
        kind = {"Content-Type": "application/json"}
        url = f"{self.iam}/v1/projects/-/serviceAccounts/{quote(self.account, safe='@')}:signBlob"
        try:
            answer = self.wire().request("POST", url, _PERMISSION, of_object=True, data=payload, headers=kind)
        except MissingObjectError as error:
            raise UnsupportedError(f"the service account {harmless(self.account, 100)}: {error.reason}") from error
        try:
            return base64.b64decode(str(table(answer)["signedBlob"]), validate=True)
        except (KeyError, binascii.Error):
            raise TransientError("the answer holds no signature") from None
