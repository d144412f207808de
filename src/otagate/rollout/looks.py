"""Where looks at a rollout are kept, for ``otagate gate replay``.

They stand in pages ``apps/<app>/looks/<rollout>/<nnnn>.json``, written by compare-and-swap. Nothing is decided by them: a look
that could not be kept is missing from a replay and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from otagate import _canonical
from otagate._text import harmless
from otagate.errors import ConflictError, VerificationError
from otagate.model import AppId
from otagate.rollout._sound import is_number
from otagate.rollout.codec import decode, encode
from otagate.rollout.kept import NUMBERS, KeptLook
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import JsonDoc, read_json, write_json

SCHEMA = "otagate/looks/v1"
LOOKS_A_PAGE = 48
"""A day of looks every half hour."""
PAGE_BYTES = 512 * 1024
"""A page that is larger gets no further look: each is written anew with every look."""
AGAIN = timedelta(minutes=10)
"""A look that says the same as one so short before it is not kept."""
_TRIES = 3
_MOST_PAGES = 10_000


class Looks:
    """The looks at the rollouts of one app."""

    def __init__(self, documents: DocumentStore, app: AppId) -> None:
        self._documents, self._app = documents, app

    def append(self, rollout_id: str, look: KeptLook, *, always: bool = False) -> bool:
        """Keep a look behind all others.

        Args:
            rollout_id: Whose.
            look: What was measured.
            always: Something came of it, so that it is kept though it says the same as one of a few minutes before.

        Returns:
            Whether it was kept now: not when it says the same as one of a few minutes before, or is that very look.

        Raises:
            ConflictError: Others kept changing the page.
            VerificationError: What stands there are no looks.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                return self._append(rollout_id, look, always=always)
            except ConflictError:
                if attempt == _TRIES:
                    raise
        raise AssertionError

    def _append(self, rollout_id: str, look: KeptLook, *, always: bool) -> bool:
        first = self._page(rollout_id, 0)
        number, doc = self._last(rollout_id, first)
        looks = self._looks(doc) if doc else []
        is_again = bool(looks) and timedelta(0) <= look.at - looks[-1].at < AGAIN and look.says_the_same_as(looks[-1])
        # Another machine may have kept one of its own since.
        if look in looks or (is_again and not always):
            return False
        if doc is not None and _is_full(doc):
            number, doc = number + 1, None
        here = {**doc.body, "looks": [*doc.body["looks"], encode(look)]} if doc else {"looks": [encode(look)]}
        written = write_json(self._documents, self._key(rollout_id, number), SCHEMA, here, doc)
        if number and first is not None and first.body.get("pages") != number + 1:
            # Only spares reading: whoever reads goes on to the pages behind by itself.
            write_json(self._documents, first.key, SCHEMA, {**first.body, "pages": number + 1}, first)
        return written.revision > 0

    def all(self, rollout_id: str) -> list[KeptLook]:
        """Give the looks at a rollout, oldest first; none when none was kept.

        Raises:
            VerificationError: What stands there are no looks.
        """
        return sorted((look for doc in self._pages(rollout_id) for look in self._looks(doc)), key=lambda look: look.at)

    def newest(self, rollout_id: str) -> KeptLook | None:
        """Give the last look at a rollout, without reading the others' pages; None when none was kept.

        Raises:
            VerificationError: What stands there are no looks.
        """
        _, doc = self._last(rollout_id, self._page(rollout_id, 0))
        return max(self._looks(doc), key=lambda look: look.at, default=None) if doc else None

    def _last(self, rollout_id: str, first: JsonDoc | None) -> tuple[int, JsonDoc | None]:
        """Give the last page with its number: the one that is told, or those behind it when a process was killed between."""
        if first is None:
            return 0, None
        told = first.body.get("pages")
        number = told - 1 if type(told) is int and 0 < told <= _MOST_PAGES else 0
        doc = first if number == 0 else self._page(rollout_id, number)
        while doc is not None and _is_full(doc):
            following = self._page(rollout_id, number + 1)
            if following is None:
                break
            number, doc = number + 1, following
        return number, doc

    def _pages(self, rollout_id: str) -> Iterator[JsonDoc]:
        for number in range(_MOST_PAGES):
            doc = self._page(rollout_id, number)
            if doc is None:
                return
            yield doc

    def _page(self, rollout_id: str, number: int) -> JsonDoc | None:
        return read_json(self._documents, self._key(rollout_id, number), SCHEMA)

    def _looks(self, doc: JsonDoc) -> list[KeptLook]:
        try:
            looks = [decode(KeptLook, item) for item in doc.body["looks"]]
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("these looks cannot be read", doc.key, found=harmless(str(error), 200)) from error
        for reading in (reading for look in looks for reading in look.readings):
            if not is_number(reading.value) or any(len(row) != NUMBERS for row in reading.rows):
                raise VerificationError(
                    "these looks cannot be read", doc.key, found=harmless(f"what {reading.metric} was", 200)
                )
        return looks

    def _key(self, rollout_id: str, number: int) -> str:
        return f"apps/{self._app}/looks/{rollout_id}/{number:04}.json"


def _is_full(doc: JsonDoc) -> bool:
    looks = doc.body.get("looks")
    return isinstance(looks, list) and (len(looks) >= LOOKS_A_PAGE or len(_canonical.dumps(looks)) >= PAGE_BYTES)
