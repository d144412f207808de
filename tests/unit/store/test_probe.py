"""The probe finds each kind of store that would let two pipelines overwrite each other, and removes what it wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from otagate.errors import AccessError, ConflictError, UnavailableError, UsageError
from otagate.store.interface import Document, DocumentStore
from otagate.store.memory import MemoryDocuments
from otagate.store.probe import probe_documents, refusal
from otagate.store.registry import open_store
from support.meddler import MeddledDocuments


class Plain(MemoryDocuments):
    """A good store in which a test breaks one thing; ``bodies`` is what stands there."""

    @property
    def bodies(self) -> dict[str, bytes]:
        return self._bodies

    def write(self, key: str, body: bytes) -> str:
        self._bodies[key] = body
        found = self.read(key)
        return found.token if found else ""


class IgnoresCreate(Plain):
    def create(self, key: str, body: bytes) -> str:
        return self.write(key, body)


class TakesTheSameBytesTwice(Plain):
    def create(self, key: str, body: bytes) -> str:
        there = self.bodies.get(key)
        return self.write(key, body) if there == body else super().create(key, body)


class WritesAndRefuses(Plain):
    def create(self, key: str, body: bytes) -> str:
        try:
            return super().create(key, body)
        except ConflictError:
            self.write(key, body)
            raise


class IgnoresTokens(Plain):
    def replace(self, key: str, body: bytes, token: str) -> str:
        if key not in self.bodies:
            return super().replace(key, body, token)
        return self.write(key, body)


class ReplacesWhatIsMissing(Plain):
    def replace(self, key: str, body: bytes, token: str) -> str:
        return self.write(key, body) if key not in self.bodies else super().replace(key, body, token)


class ChecksThenWrites(Plain):
    """Looks at the condition, and writes in a second step: between them another does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.gap = Barrier(4)

    def _between(self) -> None:
        if threading.current_thread() is threading.main_thread():
            return
        try:
            self.gap.wait(0.5)
        except BrokenBarrierError:
            self.gap.reset()

    def create(self, key: str, body: bytes) -> str:
        if self.read(key) is not None:
            raise ConflictError("the document is there already", key)
        self._between()
        return self.write(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        there = self.read(key)
        if there is None or there.token != token:
            raise ConflictError("the document changed since it was read", key)
        self._between()
        return self.write(key, body)


class ServesOldReads(Plain):
    """A read gives the state before the last swap, as a cache would."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Document] = {}

    def replace(self, key: str, body: bytes, token: str) -> str:
        there = super().read(key)
        token = super().replace(key, body, token)
        if there is not None:
            self.before[key] = there
        return token

    def read(self, key: str) -> Document | None:
        return self.before.get(key) or super().read(key)


class ServesOldAbsence(Plain):
    """A document appears to readers only with the second look."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def read(self, key: str) -> Document | None:
        there = super().read(key)
        if there is not None and key not in self.seen:
            self.seen.add(key)
            return None
        return there


class MatchesPrefixesInReads(Plain):
    def read(self, key: str) -> Document | None:
        longer = next((other for other in sorted(self.bodies) if other.startswith(key)), key)
        return super().read(longer)


class MatchesPrefixesInDeletes(Plain):
    def delete(self, key: str) -> None:
        for other in [other for other in self.bodies if other.startswith(key)]:
            super().delete(other)


class LosesDeletes(Plain):
    def delete(self, key: str) -> None:
        """Say that it is done."""


class NobodyWins(Plain):
    """Refuses every write that another one is beside: safe, and of no use."""

    def create(self, key: str, body: bytes) -> str:
        if b"creator" in body:
            raise ConflictError("a conditional request is in progress", key)
        return super().create(key, body)


class RefusesEverySwap(Plain):
    def replace(self, key: str, body: bytes, token: str) -> str:
        raise ConflictError("the document changed since it was read", key)


class TellsTheWrongWinner(Plain):
    """The last writer's bytes stand there, the first one was told that it had won."""

    def replace(self, key: str, body: bytes, token: str) -> str:
        try:
            return super().replace(key, body, token)
        except ConflictError:
            if b"swapper" in body:
                self.write(key, body)
            raise


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (IgnoresCreate, {"second-create", "one-creator"}),
        (TakesTheSameBytesTwice, {"second-create"}),
        (WritesAndRefuses, {"second-create", "one-creator"}),
        (IgnoresTokens, {"stale-swap", "one-swap"}),
        (ReplacesWhatIsMissing, {"missing-swap"}),
        (ChecksThenWrites, {"one-creator", "one-swap"}),
        (ServesOldReads, {"fresh-read", "stale-swap", "one-swap"}),
        (ServesOldAbsence, {"fresh-read"}),
        (MatchesPrefixesInReads, {"exact-keys"}),
        (MatchesPrefixesInDeletes, {"exact-keys"}),
        (LosesDeletes, {"delete"}),
        (NobodyWins, {"one-creator", "one-swap"}),
        (RefusesEverySwap, {"stale-swap", "fresh-read", "one-swap"}),
        (TellsTheWrongWinner, {"one-swap"}),
    ],
)
def test_each_way_to_let_a_second_writer_through_is_found_by_name(broken: Callable[[], Plain], names: set[str]) -> None:
    report = probe_documents(broken())
    found = {finding.name for finding in report.failed}
    assert names <= found
    assert not report.ok
    for finding in report.failed:
        assert finding.found != "as expected"
        assert finding.expected
    with pytest.raises(UsageError, match="does not refuse a second writer") as caught:
        raise refusal(report, "s3://acme at https://objects.example.com")
    message = str(caught.value)
    assert "documents: URL" in message
    assert "s3://acme at https://objects.example.com" in message
    assert all(name in message for name in names)


def test_a_check_that_fails_hides_no_other() -> None:
    report = probe_documents(IgnoresCreate())
    assert [finding.name for finding in report.findings] == [
        *("second-create", "stale-swap", "missing-swap", "fresh-read", "exact-keys", "delete", "old-bytes"),
        *("one-creator", "one-swap"),
    ]
    assert {finding.name for finding in report.findings if finding.ok} >= {"stale-swap", "missing-swap", "fresh-read"}


@pytest.mark.parametrize("url", ["memory:probed", "file:{}/store"])
def test_our_own_stores_pass_and_nothing_stays(url: str, tmp_path: Path) -> None:
    documents = open_store(url.format(tmp_path)).documents
    report = probe_documents(documents)
    assert report.ok
    assert report.left == ()
    assert [finding.name for finding in report.findings if not finding.ok] == ["old-bytes"], "their tokens are digests"
    assert list(documents.keys("probe/")) == []


def test_it_is_no_heavier_than_was_said() -> None:
    documents = MeddledDocuments(MemoryDocuments(), None, lambda: None)
    probe_documents(documents)
    assert documents.count <= 75


class CountsTokens(Plain):
    """Tokens as a generation number gives them: they never come back."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.generation = threading.Lock(), 0
        self.generations: dict[str, str] = {}

    def _next(self, key: str) -> str:
        self.generation += 1
        self.generations[key] = str(self.generation)
        return self.generations[key]

    def read(self, key: str) -> Document | None:
        there = super().read(key)
        return Document(key, there.body, self.generations[key]) if there else None

    def create(self, key: str, body: bytes) -> str:
        with self.lock:
            super().create(key, body)
            return self._next(key)

    def replace(self, key: str, body: bytes, token: str) -> str:
        with self.lock:
            if self.generations.get(key) != token or key not in self.bodies:
                raise ConflictError("the document changed since it was read", key)
            self.bodies[key] = body
            return self._next(key)


def test_a_store_whose_tokens_never_return_shows_nothing_at_all() -> None:
    assert all(finding.ok for finding in probe_documents(CountsTokens()).findings)


class LosesAnswers(Plain):
    """Each race's winner hears a refusal, because the answer was lost and the repetition is refused."""

    def create(self, key: str, body: bytes) -> str:
        token = super().create(key, body)
        if b"creator" in body:
            raise ConflictError("the document is there already", key)
        return token


def test_a_winner_that_was_not_told_is_no_fault_of_the_store() -> None:
    assert probe_documents(LosesAnswers()).ok


class Refuses(Plain):
    def __init__(self, operation: str, error: Exception, after: int = 0) -> None:
        super().__init__()
        self.operation, self.error, self.after = operation, error, after

    def _refuse(self, operation: str) -> None:
        if operation == self.operation:
            self.after -= 1
            if self.after < 0:
                raise self.error

    def create(self, key: str, body: bytes) -> str:
        self._refuse("create")
        return super().create(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        self._refuse("replace")
        return super().replace(key, body, token)

    def delete(self, key: str) -> None:
        self._refuse("delete")
        super().delete(key)


DENIED = AccessError("the store refuses", "s3://acme", remedy="allow s3:PutObject")
GONE = UnavailableError("the store does not answer", "s3://acme", remedy="try again")


@pytest.mark.parametrize(("operation", "after"), [("create", n) for n in range(19)] + [("replace", n) for n in range(19)])
@pytest.mark.parametrize("error", [DENIED, GONE], ids=["denied", "gone"])
def test_a_store_that_cannot_be_asked_is_no_finding_and_nothing_stays(error: Exception, operation: str, after: int) -> None:
    documents = Refuses(operation, error, after)
    with pytest.raises(type(error)) as caught:
        probe_documents(documents)
    assert caught.value is error
    assert documents.bodies == {}


def test_without_the_permission_to_delete_the_documents_stay_and_are_named() -> None:
    documents = Refuses("delete", DENIED)
    report = probe_documents(documents)
    assert report.ok
    assert documents.bodies
    assert set(documents.bodies) <= set(report.left)


def test_a_store_that_goes_away_while_tidying_leaves_the_findings() -> None:
    documents = Refuses("delete", GONE, after=4)
    report = probe_documents(documents)
    assert report.ok
    assert set(documents.bodies) <= set(report.left)
    assert report.left


class Interrupted(Plain):
    def replace(self, key: str, body: bytes, token: str) -> str:
        raise KeyboardInterrupt


def test_an_interrupted_probe_tidies_up() -> None:
    documents = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        probe_documents(documents)
    assert documents.bodies == {}


def test_two_probes_at_once_do_not_meet() -> None:
    documents = MemoryDocuments()
    reports: list[bool] = []
    threads = [threading.Thread(target=lambda: reports.append(probe_documents(documents).ok)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports == [True] * 4


def test_other_peoples_documents_are_not_touched() -> None:
    documents: DocumentStore = MemoryDocuments()
    documents.create("probe/mine.json", b"x")
    documents.create("apps/a/channels/stable.json", b"y")

    def everything() -> Iterator[tuple[str, bytes]]:
        for prefix in ("probe/", "apps/"):
            for key in documents.keys(prefix):
                there = documents.read(key)
                yield key, there.body if there else b""

    before = dict(everything())
    probe_documents(documents)
    assert dict(everything()) == before
