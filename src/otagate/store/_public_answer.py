"""What an answer of the public address means. Pure: headers in, a verdict out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from otagate._retry import retry_after
from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError, VerificationError
from otagate.store._public_http import PassingError

OK, PARTIAL, NOT_SATISFIABLE = 200, 206, 416
_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403})
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)
_CACHE_HEADERS = ("X-Cache", "CF-Cache-Status", "X-Cache-Status", "CDN-Cache-Status", "X-Proxy-Cache")
_BUCKET_POLICY = "let everybody read the objects: the bucket's policy, or the CDN's access to its origin; see docs/cdn.md"


class MissingError(Exception):
    """The object is said not to be there; ``found`` is for people."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for.

    Attributes:
        url: The address.
        start: The first byte that is wanted.
        etag: Names the object whose first bytes were read already, or None.
        total: Its size in bytes, or None.
    """

    url: str
    start: int = 0
    etag: str | None = None
    total: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that ask for it."""
        if not self.start:
            return {}
        wanted = {"Range": f"bytes={self.start}-"}
        # A weak tag does not promise the same bytes and may not stand there. **Source:** RFC 9110, 13.1.5.
        return wanted | ({"If-Range": self.etag} if self.etag and not self.etag.startswith("W/") else {})


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes.

    Attributes:
        skip: Bytes of the body that were not asked for and come first.
        total: Size of the whole object in bytes, or None when not told.
        etag: Names this state of the object, or None.
        is_empty: There is nothing from the first wanted byte on.
    """

    skip: int
    total: int | None
    etag: str | None
    is_empty: bool = False


def judge(asked: Asked, status: int, headers: Mapping[str, str], largest: int) -> Answer:
    """Say what an answer gives. ``headers`` finds names in any case.

    Raises:
        MissingError: The object is said not to be there.
        PassingError: Asking again may help.
        AccessError: The public may not read it.
        UnavailableError: Something else that asking again does not change, or another object than the one begun.
        VerificationError: The bytes are encoded, or more than ``largest``.
    """
    if status == NOT_SATISFIABLE and asked.start:
        return _past_the_end(asked, headers)
    if status not in {OK, PARTIAL}:
        _refuse(asked, status, headers)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity"}:
        raise VerificationError(
            "the public address gives encoded bytes although the plain ones were asked for",
            asked.url,
            expected="no Content-Encoding",
            found=harmless(encoding, 80),
            remedy="switch compression and optimisation off in the CDN for these paths, and in the object's own metadata",
        )
    answer = _whole(asked, headers) if status == OK else _part(asked, headers)
    if answer.total is not None and answer.total > largest:
        raise too_large(asked.url, largest, f"{answer.total} bytes")
    _refuse_another(asked, answer, headers)
    return answer


def too_large(url: str, largest: int, found: str) -> VerificationError:
    """Make the error for an object that is larger than it may be, in bytes."""
    remedy = "look at what is served there: otagate did not write it"
    return VerificationError("the public address gives too large an object", url, f"at most {largest} bytes", found, remedy)


def cache_facts(headers: Mapping[str, str]) -> str:
    """Say what the CDN tells of its cache: ``Age 120s, X-Cache: Hit from cloudfront``; empty when nothing."""
    facts = [f"Age {headers['Age'].strip()[:10]}s"] if headers.get("Age", "").strip().isdigit() else []
    facts += [f"{name}: {harmless(headers[name], 60)}" for name in _CACHE_HEADERS if headers.get(name)]
    return ", ".join(facts)


def _told(status: int, headers: Mapping[str, str]) -> str:
    facts = cache_facts(headers)
    return f"HTTP {status} ({facts})" if facts else f"HTTP {status}"


def _refuse(asked: Asked, status: int, headers: Mapping[str, str]) -> None:
    found = _told(status, headers)
    if status in _GONE:
        raise MissingError(found)
    if status in _DENIED:
        if _is_cached(headers):
            # S3 says 403 for what is not there, and CDNs remember that like a 404.
            raise MissingError(found)
        raise AccessError("the public may not read the object", asked.url, found=found, remedy=_BUCKET_POLICY)
    if status in _PASSING:
        raise PassingError(found, retry_after(headers.get("Retry-After")))
    remedy = "check public= in the storage URL, and what the CDN does with this path"
    raise UnavailableError("the public address gives no object", asked.url, "HTTP 200", found, remedy)


def _is_cached(headers: Mapping[str, str]) -> bool:
    age = headers.get("Age", "").strip()
    said = " ".join(headers.get(name, "") for name in _CACHE_HEADERS).lower()
    return (age.isdigit() and int(age[:9]) > 0) or re.search(r"\bhit\b", said) is not None


def _whole(asked: Asked, headers: Mapping[str, str]) -> Answer:
    length = headers.get("Content-Length", "")
    return Answer(asked.start, int(length) if length.isdigit() else None, headers.get("ETag"))


def _part(asked: Asked, headers: Mapping[str, str]) -> Answer:
    told = headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(told.strip())
    if match is None or match[1] is None or int(match[1]) != asked.start or not _reaches_end(match):
        raise UnavailableError(
            "the public address gives another part of the object than was asked for",
            asked.url,
            expected=f"bytes {asked.start}- up to the end",
            found=harmless(told, 80) or "no Content-Range",
            remedy="mend how the CDN handles Range requests, or purge its cache",
        )
    return Answer(0, None if match[3] == "*" else int(match[3]), headers.get("ETag"))


def _reaches_end(match: re.Match[str]) -> bool:
    return match[3] == "*" or int(match[2]) + 1 == int(match[3])


def _past_the_end(asked: Asked, headers: Mapping[str, str]) -> Answer:
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    total = int(match[3]) if match is not None and match[3] != "*" else None
    if total is not None and total > asked.start:
        raise PassingError(f"HTTP {NOT_SATISFIABLE} for byte {asked.start} of {total}")
    answer = Answer(0, total, headers.get("ETag"), is_empty=True)
    if asked.total is not None:
        # It was longer when its first bytes came.
        raise _another(asked, headers)
    return answer


def _refuse_another(asked: Asked, answer: Answer, headers: Mapping[str, str]) -> None:
    other_tag = asked.etag is not None and answer.etag is not None and asked.etag != answer.etag
    other_size = asked.total is not None and answer.total is not None and asked.total != answer.total
    if other_tag or other_size:
        raise _another(asked, headers)


def _another(asked: Asked, headers: Mapping[str, str]) -> UnavailableError:
    return UnavailableError(
        "the public address gives two different objects in turn",
        asked.url,
        expected="the one whose first bytes were read",
        found=cache_facts(headers) or "another ETag or size",
        remedy="run the command again; when it stays so, purge the CDN's cache for this address",
    )
