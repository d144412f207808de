"""Any receiver of webhooks, signed as the Standard Webhooks specification says.

**Source:** Standard Webhooks, version 1.0.0: headers ``webhook-id``, ``webhook-timestamp`` (seconds since 1970, of the
attempt) and ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``; several signatures, one
for each secret, are separated by a space. Secrets are 24 to 64 random bytes, as ``whsec_`` and their base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from otagate import _canonical, _clock
from otagate.notify._post import Place, Wire, checked_address, post
from otagate.notify.interface import NotifyError
from otagate.notify.message import Message

_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_MOST_SECRETS = 4


class Webhook:
    """See Notifier. POSTs ``{"type": kind, "timestamp": instant, "data": {…}}``; docs/notifications.md has the fields."""

    def __init__(self, name: str, address: str, secrets: Sequence[bytes], wire: Wire) -> None:
        """Send to ``address``, signed with each of ``secrets``; none: unsigned.

        Raises:
            NotifyError: The address cannot be used.
        """
        self._place = Place(name, checked_address(name, address))
        self._secrets, self._wire = tuple(secrets), wire

    def send(self, message: Message) -> None:
        """See Notifier.send. Every attempt is signed anew, with its own time."""
        body = body_of(message)
        post(self._place, body, lambda: self._headers(message.id, body), self._wire)

    def _headers(self, identity: str, body: bytes) -> Mapping[str, str]:
        seconds = int(self._wire.now().timestamp())
        headers = {"webhook-id": identity, "webhook-timestamp": str(seconds)}
        if self._secrets:
            headers["webhook-signature"] = " ".join(sign(secret, identity, seconds, body) for secret in self._secrets)
        return headers


def body_of(message: Message) -> bytes:
    """Give the body: canonical JSON, the same bytes for the same event."""
    data = {
        "app": message.app,
        "seq": message.seq,
        "level": message.level.value,
        "title": message.title,
        "text": message.sentence,
        "run": message.link or None,
        "details": dict(message.details),
    }
    return _canonical.dumps({"type": message.kind, "timestamp": _clock.to_text(message.at), "data": data})


def sign(secret: bytes, identity: str, seconds: int, body: bytes) -> str:
    """Give one signature, ``v1,`` and base64."""
    mac = hmac.new(secret, f"{identity}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def read_secrets(name: str, text: str) -> tuple[bytes, ...]:
    """Read signing secrets; several, separated by white space, while one is replaced by another.

    Raises:
        NotifyError: One is not ``whsec_`` and the base64 of 24 to 64 bytes. It is not repeated.
    """
    words = text.split()
    found = [_secret(word) for word in words]
    if not 0 < len(words) <= _MOST_SECRETS or None in found:
        raise NotifyError(
            "the signing secret of a notification cannot be used",
            name,
            expected=f"{_PREFIX} and the base64 of 24 to 64 random bytes; at most {_MOST_SECRETS}, with spaces between",
            found="something else (not shown)",
            remedy='make one: echo "whsec_$(openssl rand -base64 32)"',
        )
    return tuple(secret for secret in found if secret is not None)


def _secret(word: str) -> bytes | None:
    if not word.startswith(_PREFIX):
        return None
    text = word.removeprefix(_PREFIX)
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) in _SECRET_BYTES else None
