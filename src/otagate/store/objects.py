"""What a cloud adapter has to do: the raw operations on one bucket. Everything else is done once for all, in ``cloud.py``.

An operation here is one attempt, without a retry of its own: ``retry.py`` repeats it. Keys are whole keys, prefix included,
and exact. Whatever a library raises leaves an adapter as one of the errors of this module, with the service's own words in it
and no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from otagate.store.interface import OnProgress


@dataclass(frozen=True, slots=True)
class Head:
    """An object without its bytes.

    Attributes:
        key: Its whole key.
        size: Bytes.
        token: Names this state of it for a conditional write: an ETag or a generation. Empty where a listing does not tell.
        modified: When it was last written, by the store's clock, UTC.
        content_type: As stored, or None where not told.
        cache_control: As stored, or None where not told.
    """

    key: str
    size: int
    token: str
    modified: datetime
    content_type: str | None = None
    cache_control: str | None = None


@dataclass(frozen=True, slots=True)
class Headers:
    """What an object is stored with, for whoever serves it."""

    content_type: str
    cache_control: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The condition that nothing stands under the key yet."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The condition that the object is still the one that ``token`` names."""

    token: str


Condition = Absent | Unchanged


class Objects(Protocol):
    """One bucket or container. Safe to call from several threads at once."""

    where: str
    """Names the bucket to people, such as ``s3://bucket at https://host``; no secret."""

    def head(self, key: str) -> Head | None:
        """Look at an object, or give None when there is none."""
        ...

    def read(self, key: str, limit: int) -> tuple[bytes, Head] | None:
        """Read an object whole with the token of just these bytes, or give None; of a larger one ``limit + 1`` bytes."""
        ...

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """Give the bytes from ``start`` on, in pieces of at most a few MiB; none when ``start`` is at or after the end.

        Raises:
            MissingObjectError: There is no such object. It may come with the first piece.
        """
        ...

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        """Write a small object under a condition, in one step, and give its token.

        Raises:
            RefusedError: The condition does not hold, or another writer is in the way.
        """
        ...

    def upload(self, key: str, pieces: Iterable[bytes], size: int, headers: Headers, on_progress: OnProgress) -> None:
        """Write an object of ``size`` bytes in bounded memory, large ones in parts, several at once.

        ``pieces`` is read once and in order. When it raises, or anything else goes wrong, no object appears and the parts that
        were sent are taken back (as far as the process lives); the error of ``pieces`` passes through unchanged.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; fine when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Head]:
        """Give every object whose key starts with ``prefix``, all pages of it, in no order."""
        ...

    def sign(self, key: str, lifetime: timedelta) -> str:
        """Give an address for reading that holds for ``lifetime``.

        Raises:
            UnsupportedError: The identity in use cannot sign.
        """
        ...

    def address(self, key: str) -> str:
        """Give the plain address of an object, which works for everybody when the bucket is public."""
        ...

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """Remove the parts of uploads below ``prefix`` that began before that instant and never ended; give how many uploads.

        0 where the service removes them by itself and cannot list them.
        """
        ...


@dataclass
class ObjectError(Exception):
    """Why an operation on a bucket was not done."""

    reason: str
    """The service's or library's own words, made harmless, without secrets, on one line."""

    __hash__ = Exception.__hash__

    def __str__(self) -> str:
        """Give the reason."""
        return self.reason


class MissingObjectError(ObjectError):
    """There is no such object."""


class RefusedError(ObjectError):
    """A condition did not hold, or another writer was in the way: 409 and 412."""


@dataclass
class DeniedError(ObjectError):
    """The caller lacks a permission (401, 403). Trying again does not help."""

    permission: str = ""
    """The permission that the operation needs, such as ``s3:PutObject``."""
    of_credentials: bool = False
    """The credentials themselves are not taken: no permission would mend it."""

    __hash__ = Exception.__hash__


class NoBucketError(ObjectError):
    """The bucket or container does not exist."""


class UnsupportedError(ObjectError):
    """The service or the identity cannot do this at all."""


@dataclass
class TransientError(ObjectError):
    """No answer, a broken one, or one that says to come back: 408, 429, 5xx, a lost connection."""

    retry_after: float | None = None
    """Seconds that the service asked to wait, when it did."""
    status: int | None = None

    __hash__ = Exception.__hash__


class BrokenRequestError(ObjectError):
    """Anything else that an operation can end with: a request that the service finds wrong. Trying again does not help."""
