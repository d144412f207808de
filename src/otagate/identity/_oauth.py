"""What OAuth token services answer, wherever they stand."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from otagate._text import harmless
from otagate.errors import UnavailableError
from otagate.identity import _words
from otagate.identity._wire import Answer
from otagate.identity.interface import Bearer

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}", re.ASCII)
"""What a header can carry: an error about one that it cannot would hold the token. **Source:** RFC 6750, 2.1."""
_MAX_LIFE = 7 * 24 * 3600


def bearer(answer: Answer, doing: str, subject: str, now: datetime) -> Bearer:
    """Read a token's answer, with its end as ``expires_in`` (seconds) or ``expires_on`` (seconds since 1970), numbers or texts.

    Raises:
        UnavailableError: There is no token in it.
    """
    found = _words.table(answer.body)
    token = _words.text_of(found, "access_token")
    life, end = _seconds(found.get("expires_in")), _seconds(found.get("expires_on"))
    if token is None or not _TOKEN.fullmatch(token) or (life is None and end is None):
        raise UnavailableError(
            f"cannot {doing}", harmless(subject), "a token with its end", "an answer without", "try again later"
        )
    left = life if life is not None else (end or 0) - int(now.timestamp())
    return Bearer(token, now + timedelta(seconds=min(left, _MAX_LIFE)))


def _seconds(found: object) -> int | None:
    if isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found[:12])
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None
