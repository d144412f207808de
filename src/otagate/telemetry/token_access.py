"""Opening the tokens of a database without the rest of telemetry: who makes tokens needs no secret of device ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import translate
from otagate.telemetry.engine import place_of

if TYPE_CHECKING:
    from otagate.telemetry.token_store import TokenStore


def open_tokens(where: str, environ: Mapping[str, str], base: Path, *, may_make: bool = False) -> TokenStore:
    """Open the tokens in a database.

    Args:
        where: Its URL without a password, or ``env:NAME`` or ``file:PATH``.
        environ: Environment variables.
        base: Folder that relative paths start from.
        may_make: Make the schema when there is none, and a missing SQLite file with its folder; otherwise that is an error.

    Raises:
        UsageError: The address, a missing extra, or a schema of another version.
        NotFoundError: There is no such database yet.
        AccessError: It may not be opened.
        UnavailableError, VerificationError: As of TokenStore.
    """
    place = place_of(where, environ, base)
    from otagate.telemetry.sql import open_telemetry  # noqa: PLC0415 - only now is it sure that SQLAlchemy is there
    from otagate.telemetry.token_store import TokenStore  # noqa: PLC0415 - likewise

    if may_make and place.path is not None:
        try:
            place.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translate(error, "the database cannot be made", place.path) from error
    return TokenStore(open_telemetry(where, environ, base=base, is_made=may_make).engines)
