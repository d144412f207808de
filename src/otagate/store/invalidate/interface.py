"""What tells a CDN to forget, and who it is to that CDN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from otagate.errors import UsageError
from otagate.identity.interface import Link


class Invalidator(Protocol):
    """One CDN that can be told to forget what it keeps under exact paths."""

    where: str
    """Names the CDN to people, such as ``CloudFront distribution E2QWRUHEXAMPLE``; no secret."""

    def invalidate(self, paths: Sequence[str]) -> str:
        """Have the CDN forget these paths; it may take some minutes until it has.

        Args:
            paths: Each begins with ``/`` and is percent-encoded, as devices ask for it; none has a wildcard.

        Returns:
            What the CDN calls this request, to be shown; empty when it has no name for it.

        Raises:
            AccessError: A permission is missing; the message names it.
            NotFoundError: There is no such CDN.
            UnavailableError: No answer after retries.
            UsageError: A path is not exact, or the CDN finds the request wrong.
        """
        ...

    def links(self) -> tuple[Link, ...]:
        """Give the identity's chain, for ``doctor``; empty when none is needed.

        Raises:
            AccessError: No link of it can give credentials.
        """
        ...


def check_paths(paths: Sequence[str]) -> None:
    """Refuse what is more than single paths: a wildcard would empty the cache of a whole site.

    Raises:
        UsageError: A path is not exact.
    """
    for path in paths:
        if not path.startswith("/") or any(sign in path for sign in "*?#") or not path.isascii() or not path.isprintable():
            raise UsageError("only exact paths are invalidated", repr(path)[:200], expected="/PATH without any of * ? #")
