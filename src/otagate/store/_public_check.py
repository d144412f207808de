"""How the public address serves an object, judged for ``doctor``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from otagate._text import harmless
from otagate.store._public_answer import cache_facts

_MAX_AGE = re.compile(r"\b(?:s-maxage|max-age)\s*=\s*\"?(\d{1,12})", re.ASCII)
_YEAR_IS_NEAR_S = 180 * 86400
_POINTER_AGE_S = 60


@dataclass(frozen=True, slots=True)
class Served:
    """How the public address serves an object, for ``doctor``.

    Attributes:
        url: The object's address.
        content_type: As a device gets it; likewise the next two.
        cache_control: None when there is none; likewise the others.
        content_encoding: None when the bytes come as they are stored.
        cache: What the CDN says about its cache, such as ``Age 12s, X-Cache: Hit from cloudfront``; may be empty.
        problems: What is wrong with it, a sentence each; empty when nothing is.
    """

    url: str
    content_type: str | None
    cache_control: str | None
    content_encoding: str | None
    cache: str
    problems: tuple[str, ...] = field(default=())


def served(url: str, headers: Mapping[str, str], *, is_pointer: bool) -> Served:
    """Say how an object is served, from the headers it came with."""

    def shown(name: str) -> str | None:
        return harmless(headers[name], 120) if headers.get(name) else None

    return Served(
        url,
        shown("Content-Type"),
        shown("Cache-Control"),
        shown("Content-Encoding"),
        cache_facts(headers),
        _problems_of(headers, is_pointer=is_pointer),
    )


def _problems_of(headers: Mapping[str, str], *, is_pointer: bool) -> tuple[str, ...]:
    control = headers.get("Cache-Control", "").lower()
    found = _pointer_problems(control) if is_pointer else _blob_problems(control)
    encoding = headers.get("Content-Encoding", "")
    if encoding not in {"", "identity"} and not is_pointer:
        found.append(f"it comes compressed ({harmless(encoding, 40)}): switch compression off for blobs/")
    if "html" in headers.get("Content-Type", "").lower():
        found.append("it comes as an HTML page: a browser would run what is in it, and this may be an error page")
    if headers.get("Set-Cookie"):
        found.append("it comes with a cookie: many CDNs do not cache that")
    return tuple(found)


def _blob_problems(control: str) -> list[str]:
    ages = [int(age) for age in _MAX_AGE.findall(control)]
    if "no-store" in control or "no-cache" in control or "private" in control:
        return ["the CDN and devices may not keep it: serve blobs/ with public, max-age=31536000, immutable"]
    if not ages or min(ages) < _YEAR_IS_NEAR_S:
        return ["it is kept for a short time only: serve blobs/ with public, max-age=31536000, immutable"]
    return []


def _pointer_problems(control: str) -> list[str]:
    if "no-cache" in control or "no-store" in control:
        return []
    ages = [int(age) for age in _MAX_AGE.findall(control)]
    if ages and max(ages) <= _POINTER_AGE_S:
        return []
    return ["an old pointer may be served for long: serve apps/*/channels/ with no-cache, and let the CDN obey it"]
