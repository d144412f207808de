"""An answer as bytes, and the one shape of everything that is refused: ``{"error": CODE, "message": TEXT}``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

Headers = Sequence[tuple[bytes, bytes]]
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
JSON_HEADERS: Headers = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
_LENGTH = b"content-length"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out.

    Attributes:
        status: HTTP status.
        headers: Complete, but for Content-Length when ``body`` is bytes and ``is_whole``.
        body: All of it, or pieces whose length the headers tell.
        note: One word for logs and counters.
        is_whole: ``body`` is as long as Content-Length is to say.
    """

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""
    note: str = ""
    is_whole: bool = True

    def head(self) -> list[tuple[bytes, bytes]]:
        """Give all headers."""
        if self.is_whole and isinstance(self.body, bytes):
            return [*self.headers, (_LENGTH, b"%d" % len(self.body))]
        return list(self.headers)


class Refused(Exception):  # noqa: N818 - not an error of ours, the way a request ends
    """Ends the handling of a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, answer.note)
        self.answer = answer


class Gone(Exception):  # noqa: N818 - likewise
    """The client went away: there is nobody to answer."""


def answer_json(status: int, body: Any, *, note: str = "", extra: Headers = ()) -> Answer:
    """Make an answer of a JSON value."""
    return Answer(status, (*JSON_HEADERS, *extra) if extra else JSON_HEADERS, _encode(body).encode(), note)


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of refusal.

    Attributes:
        status: HTTP status.
        error: A code that stays the same.
        message: For people.
    """

    status: int
    error: str
    message: str
    extra: Headers = field(default=())

    def answer(self, *, retry_after_s: int | None = None, more: Mapping[str, Any] | None = None, extra: Headers = ()) -> Answer:
        """Make the answer."""
        headers = [*self.extra, *extra]
        if retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % retry_after_s))
        body: dict[str, Any] = {"error": self.error, "message": self.message, **(more or {})}
        return answer_json(self.status, body, note=self.error, extra=headers)

    def refusal(self, **options: Any) -> Refused:
        """Make the exception; arguments as :meth:`answer`."""
        return Refused(self.answer(**options))


# What is left of a body that is refused must not be taken for the next request.
_CLOSE: Headers = ((b"connection", b"close"),)
BAD_JSON = Problem(400, "invalid_json", "The body is not a JSON value in UTF-8")
TOO_MANY_VALUES = Problem(400, "invalid_json", "The body holds too many values")
BAD_QUERY = Problem(400, "invalid_query", "The query is not a list of parameters in UTF-8")
BAD_HOST = Problem(400, "invalid_host", "The Host header does not name a host")
UNAUTHORIZED = Problem(
    401, "unauthorized", "A token that may do this is needed", ((b"www-authenticate", b'Bearer realm="otagate"'),)
)
NOT_FOUND = Problem(404, "not_found", "There is nothing here")
WRONG_METHOD = Problem(405, "method_not_allowed", "This method is not allowed here")
TOO_LARGE = Problem(413, "payload_too_large", "The body is larger than 64 KiB, or 512 KiB for /stats", _CLOSE)
WRONG_TYPE = Problem(415, "unsupported_media_type", "The body must be application/json, without a content encoding", _CLOSE)
BAD_RANGE = Problem(416, "range_not_satisfiable", "The range begins after the end")
TOO_MANY = Problem(429, "too_many_requests", "Too many requests; try again later")
INTERNAL = Problem(500, "internal", "Something went wrong; it was logged")
OVERLOADED = Problem(503, "overloaded", "There is no room for this now; try again later")
UNAVAILABLE = Problem(503, "unavailable", "Something that is needed does not answer; try again later")


def spread(peer: str, least_s: int, most_s: int) -> int:
    """Give a number of seconds to wait that differs by client, so that those refused together do not return together."""
    return least_s + crc32(peer.encode("utf-8", "replace")) % (most_s - least_s + 1)


def too_many(peer: str, wait_s: float) -> Answer:
    """Say 429: when there will be a token again, later for some than for others.

    Args:
        peer: Who asked.
        wait_s: Seconds until there is one.
    """
    seconds = int(wait_s) + spread(peer, 1, 5)
    return TOO_MANY.answer(retry_after_s=seconds, more={"moreInfo": {"retryAfterSeconds": seconds}})
