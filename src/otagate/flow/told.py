"""How far each place of ``notify`` was told: one small document a place, changed by compare-and-swap only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from otagate import _clock
from otagate._fields import Fields
from otagate.errors import ConflictError
from otagate.flow.workspace import Workspace
from otagate.store.jsondoc import JsonDoc, read_json, write_json

SCHEMA = "otagate/notified/v1"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a place was told.

    Attributes:
        seq: Number of the last ledger entry that is dealt with.
        since: When it began to fail, or None.
        missed: How many messages it lost since then.
        taken: Somebody is telling it until then, or None.
        doc: The document that this stands in.
    """

    seq: int
    since: datetime | None
    missed: int
    taken: datetime | None
    doc: JsonDoc

    @property
    def body(self) -> dict[str, Any]:
        """The fields of the document; those that another version wrote stay."""
        since, taken = (None if at is None else _clock.to_text(at) for at in (self.since, self.taken))
        return {**self.doc.body, "seq": self.seq, "since": since, "missed": self.missed, "taken": taken}


def find_cursor(workspace: Workspace, name: str) -> Cursor:
    """Read a place's cursor, or make one at the end of the ledger: nobody is told old news.

    Raises:
        OtagateError: The store does not answer, or what stands there is no cursor.
    """
    key = f"apps/{workspace.policy.app}/notified/{name}.json"
    documents = workspace.store.documents
    doc = read_json(documents, key, SCHEMA)
    if doc is None:
        body = {"seq": workspace.ledger.last(), "since": None, "missed": 0, "taken": None}
        try:
            doc = write_json(documents, key, SCHEMA, body, None)
        except ConflictError:
            doc = read_json(documents, key, SCHEMA)
            if doc is None:
                raise
    fields = Fields(doc.body, "notified", key)
    return Cursor(
        fields.integer("seq"),
        fields.made_or_none("since", _clock.from_text),
        fields.integer("missed"),
        fields.made_or_none("taken", _clock.from_text),
        doc,
    )


def save_cursor(workspace: Workspace, cursor: Cursor) -> Cursor:
    """Write a cursor over the state that it was read in.

    Raises:
        ConflictError: Somebody else changed it since.
    """
    return replace(cursor, doc=write_json(workspace.store.documents, cursor.doc.key, SCHEMA, cursor.body, cursor.doc))
