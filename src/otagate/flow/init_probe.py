"""Trying the bucket that ``otagate init`` was told to use, when that is possible here."""

from __future__ import annotations

from collections.abc import Mapping

from otagate._bucket_url import parse_storage_url
from otagate.errors import AccessError, NotFoundError, UnavailableError, UsageError
from otagate.model import Digest

_LATER = "otagate doctor tries it, and so does the first release"


def try_storage(storage: str, environ: Mapping[str, str]) -> str | None:
    """Find out whether a bucket refuses a second writer.

    A laptop without a network or without credentials must be able to write a policy, so that is no error.

    Args:
        storage: URL of the store, as a policy has it.
        environ: Where the identity's chain looks.

    Returns:
        What came of it, as a sentence; None for a folder, which needs no trial.

    Raises:
        UsageError: It does not refuse one, the URL is wrong, or a library is missing.
    """
    if parse_storage_url(storage) is None:
        return None
    from otagate.flow.doctor.public import service_date  # noqa: PLC0415 - only for a bucket
    from otagate.store.guarded import GuardedDocuments  # noqa: PLC0415 - likewise
    from otagate.store.registry import open_untried  # noqa: PLC0415 - likewise

    try:
        store = open_untried(_direct(storage), environ)
    except AccessError:
        return f"the store was not tried: there are no credentials here; {_LATER}"
    except UsageError as error:
        if error.remedy is None or not error.remedy.startswith("pip install"):
            raise
        return f"the store was not tried: {error.found}; {error.remedy}; then {_LATER}"
    if service_date(store.blobs.url(Digest.of(b""))) is None:
        return f"the store was not tried: it does not answer here; {_LATER}"
    try:
        GuardedDocuments(store.documents, store.where).ensure()
    except (AccessError, NotFoundError, UnavailableError) as error:
        return f"the store was not tried: {error.what} ({error.found or error.subject}); {_LATER}"
    return "the store was tried: it refuses a second writer"


def _direct(storage: str) -> str:
    from otagate.flow.doctor.stores import without_public  # noqa: PLC0415 - only for a bucket

    return without_public(storage)
