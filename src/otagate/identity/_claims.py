"""What an OIDC token says of itself, read without verifying: for messages, and to see early that a cloud will refuse it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime

from otagate._text import harmless
from otagate.identity import _words

_PARTS = 3
_LAST_SECOND = 253402300799  # of the year 9999


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims that trust is built on. None of them is secret; all of them are the sender's words."""

    subject: str
    audiences: tuple[str, ...]
    issuer: str
    expires: datetime | None

    def is_for(self, audience: str) -> bool:
        """Whether ``audience`` is among those the token is for."""
        return audience in self.audiences

    @property
    def shown_audience(self) -> str:
        """Give the audiences for people."""
        return harmless(", ".join(self.audiences), 200) or "nobody"

    @property
    def shown(self) -> str:
        """Give what a trust policy must name."""
        return f"sub {harmless(self.subject, 200)}, aud {self.shown_audience}, iss {harmless(self.issuer, 200)}"


def read_claims(token: str) -> Claims | None:
    """Read a token's claims, or give None when it is no token."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return None
    found = _words.table(body)
    if not found:
        return None
    audience = found.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    return Claims(
        subject=_words.text_of(found, "sub") or "(none)",
        audiences=tuple(one for one in audiences if isinstance(one, str)),
        issuer=_words.text_of(found, "iss") or "(none)",
        expires=_instant(found.get("exp")),
    )


def _instant(seconds: object) -> datetime | None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return datetime.fromtimestamp(seconds, tz=UTC) if is_number and 0 <= seconds <= _LAST_SECOND else None  # type: ignore[arg-type,operator]
