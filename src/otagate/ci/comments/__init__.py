"""The plan as one comment on a pull request, updated in place. Adapters need the extras ``github`` and ``gitlab``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otagate._clock import Clock
from otagate.ci.comments.interface import Comments
from otagate.ci.comments.one import OneComment, Thread
from otagate.ci.comments.place import Place
from otagate.errors import UsageError


def open_comments(place: Place, environ: Mapping[str, str], clock: Clock) -> Comments:
    """Give the comments of a pull request; nothing is sent yet.

    Raises:
        UsageError: The extra for this host is not installed.
        AccessError: There is no token.
    """
    try:
        kind = _kind(place.host)
    except ImportError as error:
        raise UsageError(
            "comments need a library that is not installed",
            subject=error.name,
            remedy=f"pip install 'otagate[{place.host}]'",
        ) from error
    return OneComment(kind(place, place.token(environ)), clock)


def _kind(host: str) -> Callable[[Place, str], Thread]:
    if host == "github":
        from otagate.ci.comments.github import GithubThread  # noqa: PLC0415 - only its own host pays for it

        return GithubThread
    from otagate.ci.comments.gitlab import GitlabThread  # noqa: PLC0415 - likewise

    return GitlabThread
