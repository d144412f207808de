"""JSON documents that change: each state has a revision that grows by one and a random transaction id.

Both are there because of what stores do (docs/adr/0004-compare-and-swap.md): a token that is derived from the bytes comes back
when the bytes do, and a swap that was carried out but whose answer was lost looks refused when it is sent again.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from otagate import _canonical
from otagate._text import harmless
from otagate.errors import VerificationError
from otagate.store.interface import Document, DocumentStore
from otagate.store.swap import swap

RESERVED = ("schema", "revision", "txn")
"""The fields that this module owns."""
MAX_REVISION = 2**53 - 2
"""Nothing of ours gets there; what does was written by somebody else, to make the next number one that cannot be written."""
_TXN = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class JsonDoc:
    """A JSON document as read.

    Attributes:
        key: Where it stands.
        schema: What it is, such as ``otagate/rollout/v1``.
        revision: 1 when created, one more with each write.
        txn: 32 hex digits, new with each write.
        body: Every other field, also those that this version does not know.
        token: Names this state for the next write.
    """

    key: str
    schema: str
    revision: int
    txn: str
    body: dict[str, Any]
    token: str


def new_txn() -> str:
    """Give a transaction id: 128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def read_json(documents: DocumentStore, key: str, schema: str) -> JsonDoc | None:
    """Read a document, or give None when there is none.

    Raises:
        VerificationError: It is not strict JSON, or not a document of that schema.
    """
    found = documents.read(key)
    return None if found is None else _parse(found, schema)


def write_json(documents: DocumentStore, key: str, schema: str, body: dict[str, Any], current: JsonDoc | None) -> JsonDoc:
    """Write the next state of a document, over the state that was read.

    Args:
        documents: Where.
        key: Under which key.
        schema: What it is.
        body: All fields of the new state, without floats; the fields in :data:`RESERVED` are set here. To keep fields that a
            newer version of otagate wrote, build it as ``{**current.body, ...}``.
        current: What was read, or None when nothing was there.

    Returns:
        The document as it stands now. A write that landed although the store's answer was lost counts as done.

    Raises:
        ConflictError: Somebody else was first: read again and decide anew.
    """
    revision = 1 if current is None else current.revision + 1
    txn = new_txn()
    data = _canonical.dumps({**body, "schema": schema, "revision": revision, "txn": txn})
    token = swap(documents, key, data, None if current is None else current.token)
    kept = {name: value for name, value in body.items() if name not in RESERVED}
    return JsonDoc(key, schema, revision, txn, kept, token)


def _parse(found: Document, schema: str) -> JsonDoc:
    try:
        value = _canonical.loads(found.body, floats=False)
    except ValueError as error:
        raise _bad(found.key, "strict JSON", harmless(str(error))) from error
    if not isinstance(value, dict):
        raise _bad(found.key, "a JSON object", type(value).__name__)
    if value.get("schema") != schema:
        raise _bad(found.key, f"schema {schema}", harmless(repr(value.get("schema"))))
    revision, txn = value.get("revision"), value.get("txn")
    if type(revision) is not int or not 1 <= revision <= MAX_REVISION:
        shown = revision if type(revision) is not int else "another number"
        raise _bad(found.key, "a revision from 1 on", harmless(repr(shown), 80))
    if not isinstance(txn, str) or not _TXN.fullmatch(txn):
        raise _bad(found.key, "a txn of 32 hex digits", harmless(repr(txn)))
    body = {name: item for name, item in value.items() if name not in RESERVED}
    return JsonDoc(found.key, schema, revision, txn, body, found.token)


def _bad(key: str, expected: str, found: str) -> VerificationError:
    return VerificationError(
        "a stored document is not what otagate writes there",
        key,
        expected=expected,
        found=found,
        remedy="use the version of otagate that wrote it, or put back the document from a backup",
    )
