"""Tokens of operators and machines: what they look like, and what they allow. Pure, but for the making of a new one.

::

    otg_<id>_<secret>      id: 12 of a-z 2-7;  secret: 32 random bytes, base64url without padding (43 characters)

Only the SHA-256 of the whole text is stored: who reads the database, or a backup of it, has no token. A secret of 256 random
bits needs no slow hash.

A limit is either a list of names or *all*, and the difference is a word of its own: an empty list is no limit that
anybody can have meant, and is refused wherever it appears (CVE-2026-56216: empty limits that meant unlimited).
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from otagate import _canonical
from otagate.errors import UsageError, VerificationError
from otagate.model import AppId, ChannelName

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
"""A token that nobody renews ends within a year and a day."""
MAX_NAME_CHARS = 100
_ID_CHARS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 12
_SECRET_BYTES = 32
_TOKEN = re.compile(r"otg_([a-z2-7]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_ID = re.compile(r"[a-z2-7]{12}", re.ASCII)


class Verb(StrEnum):
    """What a token may be used for."""

    METRICS = "metrics"
    """Read counts of devices, releases and versions in use; with all apps and channels also ``/metrics``."""
    DEVICE_READ = "device-read"
    """See devices."""
    DEVICE_WRITE = "device-write"
    """Set and take back channels of single devices."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Names that a token is limited to, or all.

    Attributes:
        names: At least one, unless ``is_all``.
        is_all: No limit; then ``names`` is empty.
    """

    names: frozenset[str]
    is_all: bool = False

    def __post_init__(self) -> None:
        if self.is_all == bool(self.names):
            raise UsageError(
                "this is no limit", expected="a list of names, or all of them in so many words", found=repr(sorted(self.names))
            )

    @classmethod
    def all(cls) -> Self:
        """Give the limit that is none."""
        return cls(frozenset(), is_all=True)

    @classmethod
    def only(cls, *names: str) -> Self:
        """Give the limit to these names."""
        return cls(frozenset(names))

    def allows(self, name: str) -> bool:
        """Tell whether a name is within it; compared exactly."""
        return self.is_all or name in self.names

    @property
    def words(self) -> str | list[str]:
        """Give it as JSON: ``"all"``, or the sorted list."""
        return "all" if self.is_all else sorted(self.names)

    def __str__(self) -> str:
        return "all" if self.is_all else ", ".join(sorted(self.names))


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is made for.

    Attributes:
        name: What it is for, in words of whoever made it.
        apps: Apps.
        channels: Channels.
        verbs: At least one.
    """

    name: str
    apps: Limit
    channels: Limit
    verbs: frozenset[Verb]

    def __post_init__(self) -> None:
        if not self.verbs:
            raise UsageError("a token without a verb is good for nothing", expected=f"one or more of {', '.join(Verb)}")
        if not self.name.isprintable() or not 0 < len(self.name) <= MAX_NAME_CHARS:
            raise UsageError("this is no name for a token", expected=f"1 to {MAX_NAME_CHARS} printable characters")
        for app in self.apps.names:
            AppId(app)
        for channel in self.channels.names:
            ChannelName(channel)

    def allows(self, verb: Verb, app: str) -> bool:
        """Tell whether it covers that verb on that app; channels are asked for apart."""
        return verb in self.verbs and self.apps.allows(app)

    @property
    def data(self) -> dict[str, object]:
        """Give it as JSON-ready data."""
        return {
            "name": self.name,
            "apps": self.apps.words,
            "channels": self.channels.words,
            "verbs": sorted(self.verbs),
        }


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored: without its secret.

    Attributes:
        id: Names it, in lists and in the audit; no secret.
        scope: What it allows.
        created: When it was made.
        expires: From then on it is good for nothing.
        last_used: When it was last used, exact to the hour, or None.
        revoked: When it was taken back, or None.
    """

    id: str
    scope: Scope
    created: datetime
    expires: datetime
    last_used: datetime | None = None
    revoked: datetime | None = None

    def state(self, now: datetime) -> str:
        """Give ``valid``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "valid" if now < self.expires else "expired"


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token's text, which is shown once and stored nowhere."""

    id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """Give what is stored of it."""
        return digest_of(self.text)


def mint() -> Minted:
    """Make a token's text from the system's randomness."""
    identity = "".join(secrets.choice(_ID_CHARS) for _ in range(_ID_LENGTH))
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode("ascii")
    return Minted(identity, f"otg_{identity}_{secret}")


def digest_of(text: str) -> bytes:
    """Give the SHA-256 of a token's whole text, 32 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def id_in(text: str) -> str | None:
    """Give the id in a token's text, or None when the text cannot be a token."""
    match = _TOKEN.fullmatch(text)
    return match[1] if match else None


def checked_id(text: str) -> str:
    """Give a token's id as people write it.

    Raises:
        UsageError: It is none. A whole token is not repeated.
    """
    if not _ID.fullmatch(text):
        raise UsageError("this is no token's id", expected="12 characters, as `otagate token list` shows them")
    return text


def expiry(now: datetime, life: timedelta) -> datetime:
    """Give when a token made now ends.

    Raises:
        UsageError: The time is too long, or none.
    """
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise UsageError("a token cannot be valid for that long", expected=f"more than 0s and at most {LONGEST_LIFE.days}d")
    return now + life


def limit_text(limit: Limit) -> str:
    """Write a limit for the database."""
    return _canonical.dumps(limit.words).decode("utf-8")


def read_limit(text: str, token: str) -> Limit:
    """Read what :func:`limit_text` wrote.

    Raises:
        VerificationError: It is anything else: a limit that cannot be read allows nothing.
    """
    try:
        found = _canonical.loads(text.encode("utf-8"))
    except ValueError:
        found = None
    if found == "all":
        return Limit.all()
    if isinstance(found, list) and found and all(isinstance(name, str) for name in found):
        return Limit.only(*found)
    raise VerificationError(
        "a token in the database has no limit that can be read", token, remedy=f"otagate token revoke {token}"
    )
