"""When two releases of one version are the same one. Pure."""

from __future__ import annotations

from otagate.errors import ConflictError
from otagate.model import Release, Sealed


def difference(published: Release, given: Release) -> tuple[str, str, str] | None:
    """Say in what two releases of one version differ, as (what, published, given); None when only in the making of it.

    Seals are random, and time, commit, serial and provenance belong to a run: the first run's stand.
    """
    for what, before, after in (
        ("other bytes", str(published.bundle.archive), str(given.bundle.archive)),
        ("another seal", _seal(published.sealed), _seal(given.sealed)),
        ("other channels", _channels(published), _channels(given)),
        ("another native range", _native(published), _native(given)),
    ):
        if before != after:
            return what, before, after
    return None


def refuse_difference(published: Release, given: Release, subject: str) -> None:
    """Refuse a release whose version is taken by another one.

    Raises:
        ConflictError: They differ.
    """
    unlike = difference(published, given)
    if unlike is not None:
        what, before, after = unlike
        raise ConflictError(
            f"this version is published already with {what}",
            subject,
            expected=f"{before}, as published",
            found=after,
            remedy="publish under a new version",
        )


def _seal(sealed: Sealed) -> str:
    return sealed.format + (f" for key {sealed.key_id}" if sealed.key_id else "")


def _channels(release: Release) -> str:
    return ", ".join(sorted(map(str, release.channels))) or "any channel"


def _native(release: Release) -> str:
    return f"native from {release.native_min or 'any'} to below {release.native_max or 'any'}"
