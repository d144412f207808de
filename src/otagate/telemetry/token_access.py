"""Opening the tokens of a database without the rest of telemetry: who makes tokens needs no secret of device ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import NotFoundError
from otagate.telemetry.engine import Engines, Place, place_of
from otagate.telemetry.migrate import migrate, require_schema

if TYPE_CHECKING:
    from otagate.telemetry.token_store import TokenStore


def open_tokens(text: str, environ: Mapping[str, str], base: Path, *, may_make: bool = False) -> TokenStore:
    """Open the tokens in a database.

    Args:
        text: Its URL without a password, or ``env:NAME`` or ``file:PATH``.
        environ: Environment variables.
        base: Folder that relative paths start from.
        may_make: Make the schema when there is none, and a missing SQLite file with its folder; otherwise that is an error.

    Raises:
        UsageError: The address, a missing extra, or a schema of another version.
        NotFoundError: There is no such database yet.
        AccessError: It may not be opened.
        UnavailableError, VerificationError: As of TokenStore.
    """
    place = place_of(text, environ, base)
    from otagate.telemetry.problems import told_at_start  # noqa: PLC0415 - only now is it sure that SQLAlchemy is there
    from otagate.telemetry.token_store import TokenStore  # noqa: PLC0415 - likewise

    _see_file(place, may_make=may_make)
    engines = Engines(place)
    try:
        with told_at_start("the database cannot be opened", place.shown):
            migrate(engines) if may_make else require_schema(engines)
    except BaseException:
        engines.close()
        raise
    return TokenStore(engines)


def _see_file(place: Place, *, may_make: bool) -> None:
    """See that an SQLite file is there: connecting would make an empty one."""
    if place.path is None:
        return
    try:
        if may_make:
            place.path.parent.mkdir(parents=True, exist_ok=True)
        elif not place.path.is_file():
            remedy = "check the address; `otagate serve` and `otagate token create` make it"
            raise NotFoundError("there is no such database", harmless(str(place.path), 400), remedy=remedy)
    except OSError as error:
        raise translate(error, "the database cannot be opened", place.path) from error
