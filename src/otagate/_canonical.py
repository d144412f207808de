"""Canonical JSON out, strict JSON in.

Canonical means: UTF-8, keys sorted by code point, no white space, no NaN or infinities, so that the same value has the
same bytes everywhere and a digest of it means something. Floats are refused: their text differs between languages.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64
"""Deepest nesting that :func:`loads` accepts; our own documents stay below 12."""


def dumps(value: Any) -> bytes:
    """Serialise ``value`` canonically.

    Raises:
        ValueError: A float (also NaN and infinity) or a lone surrogate is in it.
    """
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        message = f"canonical JSON has no floats: {value!r}"
        raise ValueError(message)  # noqa: TRY004 - the type is right for JSON, the value is not for us
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def loads(data: bytes, *, max_bytes: int = 16 * 1024 * 1024, floats: bool = True) -> Any:
    """Parse JSON strictly.

    Args:
        data: UTF-8 bytes.
        max_bytes: Larger input is refused unread.
        floats: False: refuse them, for what is written again by :func:`dumps`.

    Raises:
        ValueError: Not UTF-8, not JSON, duplicate keys, NaN or infinity, too large, or nested deeper than ``MAX_DEPTH``.
    """
    if len(data) > max_bytes:
        message = f"{len(data)} bytes, more than the {max_bytes} that are read"
        raise ValueError(message)
    parse_float = None if floats else _no_float
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=parse_float
        )
        _check_depth(value, MAX_DEPTH)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # lone surrogates parse, but cannot be written again
    except RecursionError as error:
        message = "nested too deeply"
        raise ValueError(message) from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        message = f"key {twice!r} stands twice"
        raise ValueError(message)
    return result


def _no_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _no_float(text: str) -> Any:
    message = f"{text[:40]} is no whole number"
    raise ValueError(message)


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        message = f"nested deeper than {MAX_DEPTH}"
        raise ValueError(message)
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, left - 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, left - 1)
