"""Problems of a policy file, each with its place; all are collected before one error is raised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from otagate._text import harmless
from otagate.errors import PolicyError

YamlPath = tuple[str | int, ...]
"""Keys and indexes from the top, such as ``("tracks", "production", 0, "soak")``."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column in the policy file, both counted from 1; columns count characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or unwise.

    Attributes:
        place: Where.
        path: YAML path; empty for problems of the file as a whole.
        what: What is wrong, without a final stop; never the value of a secret.
        expected: What would be right, in words, or None.
        found: What stands there, or None; never a secret.
        remedy: What to do, or None.
    """

    place: Place
    path: YamlPath
    what: str
    expected: str | None = None
    found: str | None = None
    remedy: str | None = None

    def line(self, file: Path) -> str:
        """Write the problem as one line: ``otagate.yml:12:9: tracks.production[0].soak: …``."""
        where = f"{file.name}:{self.place.line}:{self.place.column}"
        path = f"{path_text(self.path)}: " if self.path else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        found = f", found {self.found}" if self.found else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}: {path}{self.what}{expected}{found}{remedy}"


def path_text(path: YamlPath) -> str:
    """Write a YAML path for people; keys that are not plain words stand in quotes: ``branches."release/*".track``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if _PLAIN_KEY.fullmatch(part) else f'"{harmless(part, _MAX_SHOWN)}"'
            text += f".{word}" if text else word
    return text


def shown(value: object, text: str | None = None) -> str:
    """Say what stands there, for "found": scalars as written, collections by kind. Text that may be a key is not shown."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return secret_text(value) if looks_secret(value) else f"'{harmless(value, _MAX_SHOWN)}'"
    return text or str(value).lower()


def secret_text(value: str) -> str:
    """Say of a text only how long it is."""
    return f"{len(value)} characters that are not shown"


def looks_secret(text: str) -> bool:
    """Tell whether a text holds a PEM block, or a long run of base64 or hex that only a key looks like."""
    return "-----BEGIN" in text or re.search(r"[A-Za-z0-9+/_=-]{60,}", text) is not None


def raise_for(problems: Iterable[Problem], file: Path) -> None:
    """Raise one error that lists all problems, sorted by place; do nothing when there is none.

    Raises:
        PolicyError: There is at least one problem.
    """
    lines = problem_lines(problems, file)
    if not lines:
        return
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    raise PolicyError(
        f"the policy has {count}",
        subject=str(file),
        details=lines,
        remedy="mend the lines above; `otagate policy schema` and docs/policy.md describe every key",
    )


def problem_lines(problems: Iterable[Problem], file: Path) -> tuple[str, ...]:
    """Write problems as lines, sorted by place, each once."""
    ordered: Sequence[Problem] = sorted(problems, key=lambda problem: (problem.place, path_text(problem.path), problem.what))
    return tuple(dict.fromkeys(problem.line(file) for problem in ordered))
