"""The globs of ``bundle.allow`` and ``bundle.exclude``.

``*`` and ``?`` stay within one name, ``**`` crosses folders, everything else stands for itself. A glob without a slash
matches a name at any depth, one with a slash is anchored at the root of the bundle, and one that matches a folder covers
all that is in it. Case matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TOKENS = re.compile(r"\*\*+/?|\*|\?|[^*?]+")


@dataclass(frozen=True, slots=True)
class Globs:
    """A set of globs, ready to match archive paths."""

    pattern: re.Pattern[str] | None

    @classmethod
    def of(cls, globs: Iterable[str]) -> Globs:
        """Compile globs; none at all match nothing."""
        parts = [_translate(glob.strip("/")) for glob in globs if glob.strip("/")]
        return cls(re.compile("|".join(parts), re.DOTALL) if parts else None)

    def __bool__(self) -> bool:
        return self.pattern is not None

    def matches(self, path: str) -> bool:
        """Tell whether a file or folder, as POSIX path below the root, is covered."""
        return self.pattern is not None and self.pattern.fullmatch(path) is not None


def _translate(glob: str) -> str:
    anchor = "" if "/" in glob else r"(?:.*/)?"
    return f"{anchor}{''.join(_token(text) for text in _TOKENS.findall(glob))}(?:/.*)?"


def _token(text: str) -> str:
    if text.startswith("**"):
        return r"(?:.*/)?" if text.endswith("/") else ".*"
    return {"*": "[^/]*", "?": "[^/]"}.get(text) or re.escape(text)
