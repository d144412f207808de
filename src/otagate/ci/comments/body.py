"""The text of the comment: which one is ours, what of it hosts would act on, and how long it may be."""

from __future__ import annotations

import re

from otagate.model import AppId

MAX_BYTES = 60_000
"""Of a comment in UTF-8. **Source:** GitHub refuses issue comments above 65,536 characters; the rest is left for the marker
and the note about the cut. GitLab takes 1,000,000."""

_CUT = "\n\n_Cut here: the plan is longer than a comment may be. The log of this job has all of it._\n"
_REFERENCE = re.compile(r"@(?=[A-Za-z0-9_])|#(?=[0-9])")
_COMMAND = re.compile(r"^([ \t]*)/", re.MULTILINE)


def plan_marker(app: AppId) -> str:
    """Give the hidden line by which the plan's comment of an app is found again."""
    return f"<!-- otagate:plan:{app} -->"


def compose(marker: str, markdown: str) -> str:
    """Give the whole text of a comment: the marker, and Markdown that notifies nobody, commands nothing and is not too long."""
    text = _REFERENCE.sub(r"\g<0><!-- -->", markdown)
    # A line that begins with a slash is a command to GitLab (`/merge`), carried out with the rights of our token.
    text = _COMMAND.sub(r"\1\\/", text)
    return f"{marker}\n{_cut(text)}"


def is_same(stored: str, body: str) -> bool:
    """Whether a host holds this text; hosts change line ends and trim."""
    return _lines(stored) == _lines(body)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _cut(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_BYTES:
        return data.decode()
    # At the end of a line, so that no table row or escape is halved; a single endless line is cut where it must be.
    kept = data[:MAX_BYTES].decode("utf-8", "ignore")
    return (kept.rpartition("\n")[0] or kept) + _CUT
