"""What a store of documents is tried with: one function a trait, each on keys of its own. See ``probe.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from threading import Barrier

from otagate.errors import AccessError, ConflictError, UnavailableError
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import new_txn

PROBES = "probe/"
"""Where the documents of probes stand. They are removed afterwards; what a killed probe left, ``prune`` takes."""
WRITERS = 4
"""Writers that try at once in a race."""
ROUNDS = 3
"""Races for creating and for swapping, each."""
_START_S = 30.0
"""So long the writers of a race wait for each other, in seconds; they are threads of this process."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of the probe showed.

    Attributes:
        name: Which check; stable.
        ok: Whether the store did what was expected.
        expected: What it has to do, as a phrase.
        found: What it did instead, or ``as expected``.
        matters: Without it the store cannot be used for documents. False: good to know.
    """

    name: str
    ok: bool
    expected: str
    found: str
    matters: bool = True


class Room:
    """The documents of one probe, so that all of them can be removed."""

    def __init__(self, documents: DocumentStore, pool: ThreadPoolExecutor) -> None:
        self.documents = documents
        self.pool = pool
        self.keys: list[str] = []

    def key(self) -> str:
        """Give a key that nobody else has."""
        self.keys.append(f"{PROBES}{new_txn()}.json")
        return self.keys[-1]

    def look(self, check: Check) -> Finding:
        """Carry out one check that has no second writer."""
        try:
            wrong = check.look(self)
        except ConflictError as error:
            wrong = f"a write was refused although nobody else writes there: {error.what}"
        return Finding(check.name, wrong is None, check.expected, wrong or "as expected", check.matters)

    def races(self) -> Iterator[Finding]:
        """Let several writers create and swap at once."""
        created, swapped = [], []
        for _ in range(ROUNDS):
            key = self.key()
            bodies = [_body(f"creator {number}") for number in range(WRITERS)]
            won = self._race([partial(self.documents.create, key, body) for body in bodies])
            there = self.documents.read(key)
            created.append(_winner(won, bodies, there.body if there else None))
            if there is None:
                continue
            token = there.token
            bodies = [_body(f"swapper {number}") for number in range(WRITERS)]
            won = self._race([partial(self.documents.replace, key, body, token) for body in bodies])
            there = self.documents.read(key)
            swapped.append(_winner(won, bodies, there.body if there else None))
        yield _raced("one-creator", f"of {WRITERS} creates at once one wins", created)
        yield _raced("one-swap", f"of {WRITERS} swaps at once one wins", swapped)

    def _race(self, attempts: Sequence[Callable[[], str]]) -> list[int]:
        """Let all begin at once; give the numbers of those that were told that they had won."""
        start = Barrier(len(attempts))

        def run(attempt: Callable[[], str]) -> bool:
            start.wait(_START_S)
            return _is_written(attempt)

        running = [self.pool.submit(run, attempt) for attempt in attempts]
        # All of them have ended before anything is made of it: none may write after the tidying.
        wait(running)
        return [number for number, attempt in enumerate(running) if attempt.result()]

    def delete(self, key: str) -> bool:
        """Remove a document, if the identity may; give whether."""
        try:
            self.documents.delete(key)
        except AccessError:
            # Documents are kept under compare-and-swap without ever deleting one: this permission is not needed for them.
            return False
        return True

    def leave(self) -> tuple[str, ...]:
        """Remove every document; give the keys that stay because the store did not let them go."""

        def is_left(key: str) -> bool:
            try:
                return not self.delete(key)
            except UnavailableError:
                # A finding must not be lost to the tidying after it: the caller hears which keys stay.
                return True

        return tuple(sorted(key for key, stays in zip(self.keys, self.pool.map(is_left, self.keys), strict=True) if stays))


def _second_create(room: Room) -> str | None:
    key, first, other = room.key(), _body("first"), _body("second")
    room.documents.create(key, first)
    for body, which in ((first, "the same bytes"), (other, "other bytes")):
        if _is_written(partial(room.documents.create, key, body)):
            return f"a second create with {which} was let through"
    return _differs(room, key, first, "a create that was refused changed the document")


def _stale_token(room: Room) -> str | None:
    key, second = room.key(), _body("second")
    token = room.documents.create(key, _body("first"))
    room.documents.replace(key, second, token)
    if _is_written(partial(room.documents.replace, key, _body("third"), token)):
        return "a swap from a state that was gone was let through"
    return _differs(room, key, second, "a swap that was refused changed the document")


def _missing(room: Room) -> str | None:
    token = room.documents.create(room.key(), _body("first"))
    key = room.key()
    if _is_written(partial(room.documents.replace, key, _body("second"), token)):
        return "a swap of a document that was never there was let through"
    return _differs(room, key, None, "a swap that was refused made the document")


def _fresh_read(room: Room) -> str | None:
    key, first = room.key(), _body("first")
    token = room.documents.create(key, first)
    wrong = _stale(room, key, first)
    for body in (_body("second"), _body("third")):
        token = room.documents.replace(key, body, token)
        wrong = wrong or _stale(room, key, body)
    return wrong


def _stale(room: Room, key: str, body: bytes) -> str | None:
    for _ in range(2):
        there = room.documents.read(key)
        if there is None:
            return "a read did not find what was written just before"
        if there.body != body:
            return "a read gave another state than the one written just before"
    return None


def _exact_keys(room: Room) -> str | None:
    key = room.key()
    longer = f"{key}.json"
    room.keys.append(longer)
    room.documents.create(longer, _body("longer"))
    if room.documents.read(key) is not None:
        return "a read found a document whose key only begins with the one asked for"
    room.documents.create(key, _body("shorter"))
    room.delete(key)
    return _differs(room, longer, _body("longer"), "another document changed, whose key only begins with the one written")


def _delete(room: Room) -> str | None:
    key = room.key()
    room.documents.create(key, _body("first"))
    if not room.delete(key):
        return None
    return _differs(room, key, None, "a document is still there after it was removed")


def _old_bytes(room: Room) -> str | None:
    key, first = room.key(), _body("first")
    token = room.documents.create(key, first)
    middle = room.documents.replace(key, _body("second"), token)
    room.documents.replace(key, first, middle)
    if _is_written(partial(room.documents.replace, key, _body("third"), token)):
        return "the token derives from the bytes; harmless, because no two states of otagate's documents have the same"
    return None


@dataclass(frozen=True, slots=True)
class Check:
    """A check without a second writer: ``look`` gives what was wrong, or None."""

    name: str
    expected: str
    look: Callable[[Room], str | None]
    matters: bool = True


CHECKS = (
    Check("second-create", "a create is refused where a document stands", _second_create),
    Check("stale-swap", "a swap is refused when the document changed since", _stale_token),
    Check("missing-swap", "a swap is refused where no document stands", _missing),
    Check("fresh-read", "a read sees the last write at once", _fresh_read),
    Check("exact-keys", "an operation touches the document of just that key", _exact_keys),
    Check("delete", "a document that was removed is gone", _delete),
    Check("old-bytes", "a token does not come back with old bytes", _old_bytes, matters=False),
)


def _body(state: str) -> bytes:
    return b'{"probe":"%s"}\n' % state.encode()


def _is_written(write: Callable[[], str]) -> bool:
    try:
        write()
    except ConflictError:
        return False
    return True


def _differs(room: Room, key: str, body: bytes | None, wrong: str) -> str | None:
    there = room.documents.read(key)
    return None if (there.body if there else None) == body else wrong


_NOBODY = "no writer won"


def _winner(won: Sequence[int], bodies: Sequence[bytes], there: bytes | None) -> str | None:
    """Give what is wrong with a race's end. A winner who was not told (his answer was lost) is none."""
    if len(won) > 1:
        return f"{len(won)} of {len(bodies)} writers were told that they had won"
    if won and there != bodies[won[0]]:
        return "one writer was told that it had won, and another's bytes stand there"
    return None if there in bodies else _NOBODY


def _raced(name: str, expected: str, ends: Sequence[str | None]) -> Finding:
    """Judge all rounds: one wrong end is enough, except that nobody wins, which only may not happen each time."""
    wrong = next((end for end in ends if end not in {None, _NOBODY}), None)
    if wrong is None and all(end == _NOBODY for end in ends):
        wrong = f"{_NOBODY} in {ROUNDS} rounds"
    return Finding(name, wrong is None, expected, wrong or "as expected")
