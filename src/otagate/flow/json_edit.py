"""Set one text in a JSON file and leave every other character as a person wrote it. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)\S")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Member:
    """One ``"key": value`` of an object; offsets into the text."""

    key: str
    start: int
    value: int
    end: int


def get_text(text: str, path: tuple[str, ...]) -> str | None:
    """Give the text at a path of keys, or None when there is none or something else. ``text`` must be valid JSON."""
    value = json.loads(text)
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def set_text(text: str, path: tuple[str, ...], value: str) -> str:
    """Give the JSON with the text at ``path`` set; objects that are missing on the way are added at the end of theirs.

    Args:
        text: Valid JSON with an object at the top.
        path: Keys from the top, at least one.
        value: The new text.

    Raises:
        ValueError: Something on the way is there and is no object.
    """
    start = _skip(text, 0)
    for depth, key in enumerate(path):
        if text[start] != "{":
            message = f"{'.'.join(path[:depth]) or 'the top'} is no object"
            raise ValueError(message)
        members = _members(text, start)
        found = next((member for member in members if member.key == key), None)
        if found is None:
            return _insert(text, start, members, _nested(path[depth:], value), depth + 1)
        if depth == len(path) - 1:
            return text[: found.value] + json.dumps(value, ensure_ascii=False) + text[found.end :]
        start = found.value
    raise ValueError("the path is empty")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _members(text: str, start: int) -> list[_Member]:
    members = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, after = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, after) + 1)  # behind the colon
        _, end = _DECODER.raw_decode(text, value)
        members.append(_Member(key, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _nested(path: tuple[str, ...], value: str) -> dict[str, object]:
    result: object = value
    for key in reversed(path[1:]):
        result = {key: result}
    return {path[0]: result}


def _insert(text: str, start: int, members: list[_Member], addition: dict[str, object], level: int) -> str:
    """Add a member at the end of the object at ``start``, laid out as its neighbours are."""
    if members and "\n" not in text[start : members[0].start]:
        member = json.dumps(addition, ensure_ascii=False)[1:-1]
        return f"{text[: members[-1].end]}, {member}{text[members[-1].end :]}"
    found = _INDENT.search(text)
    unit, line = found[1] if found else "  ", "\r\n" if "\r\n" in text else "\n"
    body = json.dumps(addition, ensure_ascii=False, indent=unit).split("\n")[1:-1]
    block = line.join(f"{unit * (level - 1)}{row}" for row in body)
    if members:
        return f"{text[: members[-1].end]},{line}{block}{text[members[-1].end :]}"
    close = text.index("}", start)
    return f"{text[: start + 1]}{line}{block}{line}{unit * (level - 1)}{text[close:]}"
