"""Threads of which only one runs at a time: at every operation on the store dice decide whose turn is next.

The same seed gives the same interleaving. Every call is written down with its beginning and end, so that what several saw at once
can be checked afterwards (:mod:`support.linearizable`). A call has a turn before it and one after it: others may come in between
being asked for, taking effect and being answered.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from otagate.errors import ConflictError, OtagateError
from otagate.store.interface import Document, DocumentStore, Store
from support.faulty import Crash
from support.linearizable import Call

_T = TypeVar("_T")
_CHANGES = 4
"""How often priorities change in an interleaving by priorities: faults between threads that need more changes are rare.

**Source:** S. Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010.
"""
_LENGTH = 400
"""About how many turns an interleaving has; the changes are spread over them."""


@dataclass
class Turns:
    """Gives one of several threads the turn.

    Attributes:
        seed: Even ones throw dice at every turn, odd ones give priorities and change them now and then.
        kill: Thread and how many turns it has left, if one is to die.
    """

    seed: int
    kill: tuple[int, int] | None = None
    calls: list[Call] = field(default_factory=list)
    errors: list[OtagateError] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self._ticks, self._dice = 0, Random(self.seed)
        self._changes = {self._dice.randrange(_LENGTH) for _ in range(_CHANGES)} if self.seed % 2 else set()
        self._faults: list[BaseException] = []

    def run(self, deeds: Sequence[Callable[[int], object]]) -> None:
        """Do all deeds at once, each in a thread of its own that is told its number. Conflicts are kept, anything else is raised."""
        self._live = list(range(len(deeds)))
        self._gates = [threading.Lock() for _ in deeds]
        self._rank = {number: self._dice.random() for number in self._live}
        for gate in self._gates:
            gate.acquire()
        threads = [threading.Thread(target=self._work, args=(number, deed)) for number, deed in enumerate(deeds)]
        for thread in threads:
            thread.start()
        self._gates[self._next(0)].release()
        for thread in threads:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def _work(self, number: int, deed: Callable[[int], object]) -> None:
        self._gates[number].acquire()
        try:
            with suppress(Crash):
                deed(number)
        except OtagateError as error:
            self.errors.append(error)
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            self._faults.append(error)
        finally:
            self._live.remove(number)
            if self._live:
                self._gates[self._next(number)].release()

    def tick(self) -> int:
        """Give the next instant; no two calls begin or end at the same."""
        self._ticks += 1
        return self._ticks

    def switch(self, number: int) -> None:
        """Let somebody else go on, perhaps."""
        self.count += 1
        if self.kill is not None and self.kill[0] == number:
            self.kill = (number, self.kill[1] - 1)
            if self.kill[1] < 0:
                raise Crash(str(number))
        other = self._next(number)
        if other != number:
            self._gates[other].release()
            self._gates[number].acquire()

    def _next(self, number: int) -> int:
        if not self.seed % 2:
            return self._dice.choice(self._live)
        if self.count in self._changes:
            self._rank[number] = -self.count
        return max(self._live, key=lambda one: self._rank[one])


class TurnDocuments:
    """A document store as one of the threads sees it. Tokens must be the SHA-256 of the bytes. See DocumentStore."""

    def __init__(self, inner: DocumentStore, turns: Turns, number: int) -> None:
        self._inner, self._turns, self._number = inner, turns, number

    def _do(self, call: Call, operation: Callable[[], _T], found: Callable[[_T], str | None]) -> _T:
        turns = self._turns
        place = len(turns.calls)
        turns.calls.append(replace(call, who=str(self._number), began=turns.tick()))
        turns.switch(self._number)
        call = turns.calls[place]
        try:
            answer = operation()
            call = replace(call, token=found(answer))
        except ConflictError:
            call = replace(call, is_refused=True)
            raise
        finally:
            turns.switch(self._number)
            turns.calls[place] = replace(call, ended=turns.tick())
        return answer

    def read(self, key: str) -> Document | None:
        return self._do(Call("", key, "read", 0), lambda: self._inner.read(key), lambda found: found.token if found else None)

    def create(self, key: str, body: bytes) -> str:
        call = Call("", key, "create", 0, token=_token(body))
        return self._do(call, lambda: self._inner.create(key, body), str)

    def replace(self, key: str, body: bytes, token: str) -> str:
        call = Call("", key, "replace", 0, expects=token, token=_token(body))
        return self._do(call, lambda: self._inner.replace(key, body, token), str)

    def delete(self, key: str) -> None:
        self._do(Call("", key, "delete", 0), lambda: self._inner.delete(key), lambda _: None)

    def keys(self, prefix: str) -> Iterator[str]:
        self._turns.switch(self._number)
        return iter([*self._inner.keys(prefix)])


def as_seen_by(store: Store, turns: Turns, number: int) -> Store:
    return Store(store.url, store.blobs, TurnDocuments(store.documents, turns, number))


def standing(store: Store) -> dict[str, str]:
    """Give the token of every document."""
    found = (store.documents.read(key) for key in store.documents.keys("apps/"))
    return {document.key: document.token for document in found if document}


def _token(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
