"""The two ways in which a document can be another than its writer thinks, as errors; every document store raises the same."""

from __future__ import annotations

from otagate.errors import ConflictError


def taken(key: str) -> ConflictError:
    """Make the error for a document that was to be created and is there."""
    return ConflictError("the document is there already", key, remedy="read it and decide again")


def changed(key: str, *, is_there: bool) -> ConflictError:
    """Make the error for a document that was to be replaced and has another state now, or is gone."""
    return ConflictError(
        "the document changed since it was read",
        key,
        found="another state of it" if is_there else "no document",
        remedy="read it again and decide again",
    )
