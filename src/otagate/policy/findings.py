"""What the checks behind the schema collect: errors and warnings with places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from otagate._text import harmless, nearest
from otagate.policy.problems import Problem, YamlPath
from otagate.policy.strict_yaml import Document


@dataclass(slots=True)
class Findings:
    """Errors and warnings about one document.

    The document need not fit the schema: every check takes what has the right type and leaves the rest to the schema, so
    that one run shows all problems.
    """

    document: Document
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def error(
        self, path: YamlPath, what: str, *, expected: str | None = None, found: str | None = None, remedy: str | None = None
    ) -> None:
        """Note something that makes the policy unusable."""
        self.errors.append(Problem(self.document.place(path), path, what, expected, found, remedy))

    def warn(self, path: YamlPath, what: str, *, remedy: str | None = None) -> None:
        """Note something that is allowed but unwise."""
        self.warnings.append(Problem(self.document.key_place(path), path, what, remedy=remedy))

    def unknown(self, path: YamlPath, what: str, found: str, known: Iterable[object], *, expected: str | None = None) -> None:
        """Note a name that is not among the known ones, with the nearest of them; ``expected`` stands in for a long list."""
        names = [name for name in known if isinstance(name, str)]
        near = nearest(found, names)
        remedy = f"did you mean '{harmless(near, 60)}'?" if near else "define it, or name one that is there"
        if expected is None and names:
            expected = f"one of {', '.join(harmless(name, 60) for name in names)}"
        self.error(path, what, expected=expected, found=f"'{harmless(found, 60)}'", remedy=remedy)

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """Give the mapping at a path, empty when there is none."""
        value = self.at(path)
        return value if isinstance(value, dict) else {}

    def at(self, path: YamlPath) -> Any:
        """Give the value at a path, or None."""
        value = self.document.data
        for part in path:
            if isinstance(part, str) and isinstance(value, dict):
                value = value.get(part)
            elif isinstance(part, int) and isinstance(value, list) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def text(self, *path: str | int) -> str | None:
        """Give the text at a path, or None."""
        value = self.at(path)
        return value if isinstance(value, str) else None

    def items(self, *path: str | int) -> list[Any]:
        """Give the list at a path, empty when there is none."""
        value = self.at(path)
        return value if isinstance(value, list) else []

    def texts(self) -> Iterator[tuple[YamlPath, str]]:
        """Give every text value of the document with its path."""
        stack: list[tuple[YamlPath, Any]] = [((), self.document.data)]
        while stack:
            path, value = stack.pop()
            if isinstance(value, str):
                yield path, value
            elif isinstance(value, dict):
                stack += [((*path, key), item) for key, item in value.items()]
            elif isinstance(value, list):
                stack += [((*path, index), item) for index, item in enumerate(value)]
