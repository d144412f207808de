"""Reading JSON objects field by field, with errors that name the field."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from otagate._text import harmless
from otagate.errors import OtagateError, VerificationError

_T = TypeVar("_T")


class Fields:
    """A JSON object whose fields are read strictly.

    Every method raises ``VerificationError`` when the field is missing, of another type or refused by what is made of it.
    """

    def __init__(self, value: Any, path: str, subject: str) -> None:
        """Take a parsed value.

        Args:
            value: What stands there.
            path: Where it stands, such as ``predicate.bundle``.
            subject: The document, for messages.
        """
        self._path, self._subject = path, subject
        if not isinstance(value, dict):
            self._fail(path, "an object", value)
        self.value: dict[str, Any] = value

    def exactly(self, name: str, text: str) -> None:
        """Require a field that holds ``text`` and nothing else."""
        if self.text(name) != text:
            self._fail(self._at(name), text, self.value[name])

    def text(self, name: str) -> str:
        """Give a text."""
        return self._typed(name, str, "a text")

    def text_or_none(self, name: str) -> str | None:
        """Give a text, or None for null; the field must be there."""
        return None if self._is_null(name) else self.text(name)

    def integer(self, name: str) -> int:
        """Give an integer from 0 on."""
        value = self._typed(name, int, "an integer")
        # bool is an int in Python, and true is no number in JSON.
        if isinstance(value, bool) or value < 0:
            self._fail(self._at(name), "an integer from 0 on", value)
        return value

    def object(self, name: str) -> Fields:
        """Give an object."""
        return Fields(self._typed(name, dict, "an object"), self._at(name), self._subject)

    def list(self, name: str) -> builtins.list[Any]:
        """Give a list."""
        return self._typed(name, list, "a list")

    def objects(self, name: str) -> Iterator[Fields]:
        """Give the objects of a list, in order."""
        for index, item in enumerate(self.list(name)):
            yield Fields(item, f"{self._at(name)}[{index}]", self._subject)

    def made(self, name: str, make: Callable[[str], _T]) -> _T:
        """Give what ``make`` makes of a text."""
        return self._make(self._at(name), self.text(name), make)

    def made_or_none(self, name: str, make: Callable[[str], _T]) -> _T | None:
        """Give what ``make`` makes of a text, or None for null; the field must be there."""
        return None if self._is_null(name) else self.made(name, make)

    def each(self, name: str, make: Callable[[str], _T]) -> tuple[_T, ...]:
        """Give what ``make`` makes of every text of a list."""
        result = []
        for index, item in enumerate(self.list(name)):
            path = f"{self._at(name)}[{index}]"
            if not isinstance(item, str):
                self._fail(path, "a text", item)
            result.append(self._make(path, item, make))
        return tuple(result)

    def _typed(self, name: str, kind: type[_T], words: str) -> _T:
        if name not in self.value:
            raise self._error(self._at(name), words, "nothing: the field is missing")
        value = self.value[name]
        if not isinstance(value, kind):
            self._fail(self._at(name), words, value)
        return value

    def _is_null(self, name: str) -> bool:
        return name in self.value and self.value[name] is None

    def _make(self, path: str, text: str, make: Callable[[str], _T]) -> _T:
        try:
            return make(text)
        except OtagateError as error:
            raise self._error(path, error.expected or error.what, error.found or "another text") from error
        except (ValueError, OverflowError) as error:  # the latter: an offset that leaves the calendar
            raise self._error(path, "an instant such as 2026-01-31T12:00:00Z", repr(harmless(text))) from error

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}"

    def _fail(self, path: str, expected: str, value: Any) -> NoReturn:
        shown = repr(harmless(value)) if isinstance(value, str) else _kind(value)
        raise self._error(path, expected, shown)

    def _error(self, path: str, expected: str, found: str) -> VerificationError:
        return VerificationError(f"{path} is wrong", self._subject, expected=expected, found=found)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool | int):
        return str(value).lower()
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a number"
