"""Frozen dataclasses to plain JSON and back, by their type hints: how a rollout's frozen spec and state are stored.

Shapes: dataclass → object (a union member also carries ``"is": "<class name>"``); tuple → array; ``dict[str, X]`` → object;
``timedelta`` → whole milliseconds; ``Decimal`` → text; ``datetime`` → RFC 3339 text in UTC; enum → its value; ``Weight`` →
basis points; ``Version``, ``ChannelName``, ``AppId`` and ``Digest`` → text. No floats, so that the JSON is canonical.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from otagate._clock import from_text, to_text
from otagate.errors import UsageError
from otagate.model import AppId, ChannelName, Digest, Version, Weight

T = TypeVar("T")
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST = timedelta(days=36_600)
"""A hundred years. No policy has a hundredth of it; longer times, added to an instant, may be none."""
YEARS = range(1970, 9000)
"""Of every instant that is stored: one can add any length of time to it."""
_TEXT_TYPES = (Version, ChannelName, AppId)


def encode(value: Any) -> Any:
    """Give ``value`` as JSON-ready data."""
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case timedelta():
            return value // _MILLISECOND
        case Decimal():
            return str(value)
        case datetime():
            return to_text(value)
        case Weight():
            return value.bps
        case Version() | ChannelName() | AppId() | Digest():
            return str(value)
        case tuple() | list():
            return [encode(item) for item in value]
        case dict():
            return {str(key): encode(item) for key, item in value.items()}
        case _:
            return _encode_record(value)


def _encode_record(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        fields = {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__name__, **fields}
    message = f"cannot store a {type(value).__name__}"
    raise TypeError(message)


def decode(kind: type[T], data: Any) -> T:
    """Read what :func:`encode` wrote, as a ``kind``. Unknown fields are ignored: a newer otagate may have written them.

    Raises:
        ValueError: The data does not fit; the message names the place.
    """
    try:
        return typing.cast("T", _decode(kind, data, kind.__name__))
    except (UsageError, ArithmeticError, RecursionError) as error:
        # What the value types refuse, and numbers that are none or beyond all bounds.
        message = f"{kind.__name__}: {error}"
        raise ValueError(message) from error


def _decode(kind: Any, data: Any, place: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(args, data, place)
    if origin is tuple:
        return tuple(_decode(args[0], item, f"{place}[{at}]") for at, item in enumerate(_need(list, data, place)))
    if origin is dict:
        return {key: _decode(args[1], item, f"{place}.{key}") for key, item in _need(dict, data, place).items()}
    if dataclasses.is_dataclass(kind) and kind not in {Weight, Digest, *_TEXT_TYPES}:
        return _decode_record(kind, _need(dict, data, place), place)
    return _decode_leaf(kind, data, place)


def _decode_union(args: tuple[Any, ...], data: Any, place: str) -> Any:
    if data is None and type(None) in args:
        return None
    kinds = [arg for arg in args if arg is not type(None)]
    if len(kinds) > 1 and isinstance(data, dict):
        kinds = [kind for kind in kinds if getattr(kind, "__name__", None) == data.get("is")]
    elif len(kinds) > 1:
        many = isinstance(data, list)
        kinds = [
            kind
            for kind in kinds
            if (typing.get_origin(kind) is tuple if many else isinstance(kind, type) and isinstance(data, kind))
        ]
    if not kinds:
        message = f"{place}: nothing that may stand here"
        raise ValueError(message)
    return _decode(kinds[0], data, place)


def _decode_record(kind: Any, data: dict[str, Any], place: str) -> Any:
    hints = _hints(kind)
    values = {
        field.name: _decode(hints[field.name], data[field.name], f"{place}.{field.name}")
        for field in dataclasses.fields(kind)
        if field.name in data
    }
    try:
        return kind(**values)
    except TypeError as error:
        message = f"{place}: {error}"
        raise ValueError(message) from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    # Evaluating the annotations takes longer than everything else here together, and they never change.
    return typing.get_type_hints(kind)


def _decode_leaf(kind: Any, data: Any, place: str) -> Any:
    if kind is timedelta:
        return _within(_need(int, data, place) * _MILLISECOND, place)
    if kind is Decimal:
        return _finite(Decimal(_need(str, data, place)), place)
    if kind is datetime:
        return _near(from_text(_need(str, data, place)), place)
    if kind is Weight:
        return Weight(_need(int, data, place))
    if kind is Digest:
        return Digest.parse(_need(str, data, place))
    if kind in _TEXT_TYPES:
        return kind(_need(str, data, place))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    return _need(kind, data, place)


def _within(length: timedelta, place: str) -> timedelta:
    if not timedelta(0) <= length <= _LONGEST:
        message = f"{place}: no length of time that otagate writes"
        raise ValueError(message)
    return length


def _finite(number: Decimal, place: str) -> Decimal:
    if not number.is_finite():
        message = f"{place}: expected a number, found {number}"
        raise ValueError(message)
    return number


def _near(instant: datetime, place: str) -> datetime:
    if instant.year not in YEARS:
        message = f"{place}: no instant that otagate writes"
        raise ValueError(message)
    return instant


def _need(kind: Any, data: Any, place: str) -> Any:
    if kind is Any or (isinstance(data, kind) and not (kind is int and isinstance(data, bool))):
        return data
    message = f"{place}: expected {kind.__name__}, found {type(data).__name__}"
    raise ValueError(message)
