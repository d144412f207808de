"""Kills at every operation of a command on a store, in the recovery too, and in the recovery's recovery, until nothing new comes.

A killed process leaves its store and nothing else. So one run of a command shows what every kill in it would leave: the store as
it stands before and after each operation. From each such store a new process runs the command again, whose own operations give
further stores, and so on. Stores that differ only in dice (:func:`support.rules.essence`) are one: the command has been run again
from it before. When no new store turns up, every number of kills in a row has been gone through, because each leads from a store
that is known to another that is known.

That a process which unwinds (an exception, Ctrl-C) leaves no more than one that is killed is tested apart, with real exceptions.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from otagate.flow.workspace import Workspace
from otagate.model import Digest
from otagate.store.interface import BlobStore, Document, DocumentStore, OnProgress, Store, StoredBlob
from support.rules import ByHand, check_rules, content, essence
from support.world import APP, GOOD, World

Command = Callable[[World, Workspace], object]
_T = TypeVar("_T")
_MOST_STORES = 400
"""Of one command. More is a recovery that never comes to rest."""


@dataclass(frozen=True)
class Move:
    """One command of a life: after some time, with what devices say from then on."""

    verb: str
    command: Command
    wait: timedelta = timedelta(0)
    says: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    by_hand: tuple[tuple[str, str, int], ...] = ()
    """What it lets a person expose: channel, version, basis points."""


@dataclass(frozen=True)
class Point:
    """An operation that a process did: its kind, and the stores before and after it."""

    kind: str
    before: str
    after: str

    @property
    def is_write(self) -> bool:
        return not self.kind.startswith(("read", "keys", "open", "size", "list"))

    @property
    def kills(self) -> tuple[str, ...]:
        """The stores that a kill here leaves: for a read the one before it, which is the one after it."""
        return (self.before, self.after) if self.is_write else (self.before,)


def kind_of(method: str, key: str) -> str:
    """Name a call by what it does to which kind of document: ``replace channels``, ``create ledger``."""
    place = key.removeprefix(f"apps/{APP}/")
    return f"{method} {place.split('/')[0].removesuffix('.json')}"


@dataclass
class Tape:
    """Hears of every operation; looks at the store around it."""

    world: World
    points: list[Point] = field(default_factory=list)
    stores: dict[str, World] = field(default_factory=dict)
    now: str = ""

    def __post_init__(self) -> None:
        self.now = self._look()

    def _look(self) -> str:
        name = essence(self.world)
        if name not in self.stores:
            self.stores[name] = self.world.twin()
        return name

    def run(self, kind: str, operation: Callable[[], _T], *, writes: bool) -> _T:
        before = self.now
        try:
            return operation()
        finally:
            self.now = self._look() if writes else before
            self.points.append(Point(kind, before, self.now))


class TapedBlobs:
    """See BlobStore."""

    def __init__(self, inner: BlobStore, tape: Tape) -> None:
        self._inner, self._tape = inner, tape

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        def put() -> bool:
            return self._inner.put(digest, source, content_type=content_type, on_progress=on_progress)

        return self._tape.run("put blob", put, writes=True)

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._tape.run("open blob", lambda: self._inner.open(digest, start, direct=direct), writes=False)

    def size(self, digest: Digest) -> int | None:
        return self._tape.run("size blob", lambda: self._inner.size(digest), writes=False)

    def delete(self, digest: Digest) -> None:
        self._tape.run("delete blob", lambda: self._inner.delete(digest), writes=True)

    def url(self, digest: Digest) -> str:
        return self._inner.url(digest)

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        return self._inner.signed_url(digest, lifetime)

    def list(self) -> Iterator[StoredBlob]:
        return self._tape.run("list blobs", lambda: iter([*self._inner.list()]), writes=False)

    def abort_unfinished(self, before: Any) -> int:
        return self._tape.run("abort uploads", lambda: self._inner.abort_unfinished(before), writes=True)


class TapedDocuments:
    """See DocumentStore."""

    def __init__(self, inner: DocumentStore, tape: Tape) -> None:
        self._inner, self._tape = inner, tape

    def read(self, key: str) -> Document | None:
        return self._tape.run(kind_of("read", key), lambda: self._inner.read(key), writes=False)

    def create(self, key: str, body: bytes) -> str:
        return self._tape.run(kind_of("create", key), lambda: self._inner.create(key, body), writes=True)

    def replace(self, key: str, body: bytes, token: str) -> str:
        return self._tape.run(kind_of("replace", key), lambda: self._inner.replace(key, body, token), writes=True)

    def delete(self, key: str) -> None:
        self._tape.run(kind_of("delete", key), lambda: self._inner.delete(key), writes=True)

    def keys(self, prefix: str) -> Iterator[str]:
        return self._tape.run(kind_of("keys", prefix), lambda: iter([*self._inner.keys(prefix)]), writes=False)


def taped(world: World) -> tuple[Store, Tape]:
    tape = Tape(world)
    store = world.store
    return Store(store.url, TapedBlobs(store.blobs, tape), TapedDocuments(store.documents, tape)), tape


@dataclass
class Explored:
    """What was gone through.

    Attributes:
        once: Schedules with one kill.
        twice: Schedules with one kill, and another one while the killed command was run again.
        stores: Distinct stores that any number of kills may leave, by their essence; the command was run again from each.
        calls: What the undisturbed command did, in order.
        killed_at: How many kills there were before or after calls of each kind.
    """

    once: int
    twice: int
    stores: dict[str, World]
    calls: list[Point]
    killed_at: Counter[str]
    end: World


def explore(start: World, move: Move, by_hand: ByHand) -> Explored:
    """Kill a command everywhere, any number of times in a row. Every way must end in the store that no kill at all ends in."""
    first, end = _run(start, move)
    here = essence(start)
    stores, points = dict(first.stores), {here: first.points}
    ahead = deque(name for name in stores if name != here)
    while ahead:
        assert len(stores) < _MOST_STORES, f"{move.verb}: a recovery that never comes to rest"
        name = ahead.popleft()
        check_rules(stores[name], by_hand)
        tape, _ = _run(stores[name], move)
        if tape.now != first.now:
            wrong = difference(content(end), content(tape.world))
            message = f"{move.verb}: killed {_where(points, name)} and run again, it ends in another store:\n{wrong}"
            raise AssertionError(message)
        points[name] = tape.points
        new = {other: world for other, world in tape.stores.items() if other not in stores}
        ahead.extend(new)
        stores.update(new)
    kills = {name: sum(len(point.kills) for point in there) for name, there in points.items()}
    twice = sum(kills[left] for point in first.points for left in point.kills)
    killed_at = Counter(point.kind for there in points.values() for point in there for _ in point.kills)
    return Explored(kills[here], twice, stores, first.points, killed_at, end)


def _run(start: World, move: Move) -> tuple[Tape, World]:
    world = start.twin()
    store, tape = taped(world)
    move.command(world, world.process(store))
    return tape, world


def difference(wanted: Any, got: Any, place: str = "") -> str:
    """Say where two stores differ, one line a place."""
    if wanted == got:
        return ""
    if isinstance(wanted, dict) and isinstance(got, dict):
        lines = (difference(wanted.get(key), got.get(key), f"{place} {key}") for key in sorted({*wanted, *got}))
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        lines = (difference(one, other, f"{place} {at}") for at, (one, other) in enumerate(zip(wanted, got, strict=True)))
    else:
        return f"{place}: wanted {str(wanted)[:200]}, got {str(got)[:200]}"
    return "\n".join(line for line in lines if line)


def _where(points: dict[str, list[Point]], left: str) -> str:
    for there in points.values():
        for at, point in enumerate(there):
            if left in point.kills:
                done = [one.kind for one in there[:at] if one.is_write]
                return f"{'before' if left == point.before else 'after'} {point.kind} (its writes so far: {done})"
    return "somewhere"


def begun(start: World, move: Move) -> World:
    """Give the world just before a move: time has passed, and devices say what they say."""
    world = start.twin()
    world.clock.pass_(move.wait)
    world.devices.says = dict(move.says)
    return world
