"""A world whose blobs are dated by its own clock, with garbage in it; and what must hold whatever prune and others do at once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from otagate.flow.prune import Pruned, Pruning, prune
from otagate.flow.prune_plan import Request
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Digest, Version
from otagate.policy.model.stores import KeepSpec
from otagate.store.interface import BlobStore, OnProgress, Store, StoredBlob
from support.faulty import Plan
from support.world import DAY, HOUR, JumpClock, WitnessedStore, World

_T = TypeVar("_T")
KEEP = KeepSpec(releases=1, age=timedelta(milliseconds=1), rollbacks=1, grace=HOUR)


class DatedBlobs:
    """Blobs that the world's clock dates. See BlobStore."""

    def __init__(self, inner: BlobStore, clock: JumpClock) -> None:
        self._inner, self._clock = inner, clock
        self.written: dict[Digest, datetime] = {}
        self.ahead = timedelta(0)

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        is_new = self._inner.put(digest, source, content_type=content_type, on_progress=on_progress)
        if is_new:
            self.written[digest] = self._clock.now() + self.ahead
        return is_new

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._inner.open(digest, start, direct=direct)

    def size(self, digest: Digest) -> int | None:
        return self._inner.size(digest)

    def delete(self, digest: Digest) -> None:
        self._inner.delete(digest)

    def url(self, digest: Digest) -> str:
        return self._inner.url(digest)

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        return self._inner.signed_url(digest, lifetime)

    def list(self) -> Iterator[StoredBlob]:
        for blob in self._inner.list():
            yield StoredBlob(blob.digest, blob.size, self.written[blob.digest])

    def abort_unfinished(self, before: datetime) -> int:
        return self._inner.abort_unfinished(before)


class BusyClock(JumpClock):
    """A clock on which something happens while somebody sleeps."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        super().sleep(seconds)


class PruneWorld(World):
    """A world with releases 1.0.0 … each of its own content, none of them in a rollout.

    1.0.0 and 2.0.0 are garbage two days later; 3.0.0 is served on ``live``; 4.0.0 is the newest.
    """

    def __init__(self, folder: Path, **policy: Any) -> None:
        super().__init__(folder, **{"keep": KEEP, **policy})
        self.clock: BusyClock = BusyClock()
        self._hold(self.store)
        self.promoted: list[str] = []

    def _hold(self, inner: WitnessedStore) -> None:
        self.inner = inner
        self.dated = DatedBlobs(inner.blobs, self.clock)
        self.store = Store(inner.url, self.dated, inner.documents)  # type: ignore[assignment]

    def like(self, other: PruneWorld) -> PruneWorld:
        """Look just like another one, in a folder of its own: much quicker than to fill it again."""
        self.clock.instant, written = other.clock.instant, dict(other.dated.written)
        self._hold(other.inner.twin())
        self.dated.written.update(written)
        self.promoted = list(other.promoted)
        shutil.copytree(other.folder / "dist", self.folder / "dist", dirs_exist_ok=True)
        return self

    def fill(self) -> PruneWorld:
        for number in range(1, 5):
            self.upload(f"{number}.0.0", f"content {number}")
        self.promote("live", "3.0.0")
        self.clock.pass_(2 * DAY)
        return self

    def upload(self, version: str, content: str, workspace: Workspace | None = None) -> Digest:
        from otagate.flow.prepare import prepare
        from otagate.flow.publish import publish

        (self.folder / "dist" / "app.js").write_text(f"CapacitorUpdater.notifyAppReady() // {content}")
        here = workspace or self.process()
        shipment = prepare(here, version=Version(version))
        return publish(here, shipment, self.work).release.sealed.blob

    def promote(self, channel: str, version: str, workspace: Workspace | None = None) -> None:
        from otagate.flow import actions
        from otagate.model import Weight

        here = workspace or self.process()
        actions.promote(here, ChannelName(channel), Version(version), Weight(10_000)).carry_out()

    def plan(self, workspace: Workspace | None = None, **request: Any) -> Pruning:
        values: dict[str, Any] = {"grace": HOUR, "readers": 1, "monotonic": lambda: self.clock.now().timestamp(), **request}
        return prune(workspace or self.process(), Request(**values))

    def prune(self, workspace: Workspace | None = None, **request: Any) -> Pruned:
        return self.plan(workspace, **request).carry_out()

    def blob_of(self, version: str) -> Digest:
        published = self.process().releases.get(Version(version))
        if published is None:
            raise LookupError(version)
        return published.release.sealed.blob

    def blobs(self) -> set[Digest]:
        return {blob.digest for blob in self.store.blobs.list()}

    def has(self, version: str) -> bool:
        return self.blob_of(version) in self.blobs()


def check_served(world: World) -> None:
    """Whatever a channel names, and whatever a rollout may still serve, is there whole."""
    here = world.process()
    named = []
    for name in here.channels.names():
        reading = here.channels.read(name)
        if reading is not None:
            state = reading.state
            named += [state.stable, state.candidate.release if state.candidate else None, *state.previous]
    prefix = f"apps/{here.policy.app}/rollouts/"
    for key in world.store.documents.keys(prefix):
        stored = here.rollouts.load(key.removeprefix(prefix).removesuffix(".json"))
        if stored is not None and not stored.state.is_over:
            named.append(stored.state.release)
    for ref in {ref for ref in named if ref is not None}:
        here.releases.read_back(here.releases.resolve(ref))


@dataclass
class Ticks(Plan):
    """Calls ``before(number, name)`` ahead of every operation of one process."""

    before: Callable[[int, str], None] = lambda _number, _name: None

    def run(self, name: str, operation: Callable[[], _T]) -> _T:
        with self.lock:
            number = len(self.seen)
            self.seen.append(name)
        self.before(number, name)
        return operation()


@dataclass
class Stepped:
    """A process in a thread that goes on only when it is told to: to a chosen operation, which is not done yet then."""

    act: Callable[[Stepped], None]
    error: BaseException | None = None
    ended: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _until: int | None = 0

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def before(self, number: int, _name: str) -> None:
        if self._until is not None and number >= self._until:
            self._stopped.release()
            self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.act(self)
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.error = error
        self.ended = True
        self._stopped.release()

    def run_to(self, number: int | None) -> None:
        """Let it go on until just before its operation ``number``; None: to its end."""
        if self.ended:
            return
        self._until = number
        self._go.release()
        self._stopped.acquire()
