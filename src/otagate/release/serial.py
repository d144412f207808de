"""The serial of an app: a number that grows with every release, so that older statements cannot pass for newer ones."""

from __future__ import annotations

from otagate.errors import ConflictError, VerificationError
from otagate.model import AppId
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import MAX_REVISION, JsonDoc, read_json, write_json

SCHEMA = "otagate/serial/v1"
_ATTEMPTS = 50


def next_serial(documents: DocumentStore, app: AppId) -> int:
    """Take the next serial, from 1 on. It only grows, and no two callers ever get the same; some may stay unused.

    It stands in ``apps/<app>/serial.json``, moved by compare-and-swap.

    Raises:
        ConflictError: Too many others take serials at the same moment.
        VerificationError: The document is damaged.
    """
    key = f"apps/{app}/serial.json"
    for _ in range(_ATTEMPTS - 1):
        try:
            return _take(documents, key)
        except ConflictError:
            continue  # somebody else took one: read again
    return _take(documents, key)


def _take(documents: DocumentStore, key: str) -> int:
    current: JsonDoc | None = read_json(documents, key, SCHEMA)
    body = current.body if current else {}
    before = body.get("serial", 0)
    if type(before) is not int or not (0 if current is None else 1) <= before <= MAX_REVISION:
        raise VerificationError(
            "the app's serial is damaged",
            key,
            expected="a number from 1 on",
            remedy="put the document back from a backup, with a serial above that of every release",
        )
    write_json(documents, key, SCHEMA, {**body, "serial": before + 1}, current)
    return before + 1
