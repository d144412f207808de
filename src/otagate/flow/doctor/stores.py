"""The stores of the policy: does each answer, may we do all that is needed, and does it refuse a second writer.

All is tried with the real operations, on keys and bytes that nobody else has, which are removed afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from otagate._fs import scratch_folder, translate
from otagate.errors import AccessError, ConflictError, NotFoundError, OtagateError, UnavailableError
from otagate.flow.doctor.codes import Severity
from otagate.flow.doctor.model import Check, Trouble, code_of, from_error, trouble
from otagate.flow.doctor.patient import Patient, Place
from otagate.flow.doctor.public import check_clock, check_public
from otagate.flow.doctor.signed import check_signed
from otagate.model import Digest
from otagate.store.cloud_errors import CREDENTIALS
from otagate.store.interface import BlobStore, DocumentStore, Store
from otagate.store.probe import probe_documents
from otagate.store.probe_checks import PROBES, WRITERS
from otagate.store.registry import open_untried

GROUP = "stores"
_UNREACHED = "the store cannot be used; see above"


def check_stores(patient: Patient) -> Iterator[Check]:
    """Try every store of the policy."""
    if patient.policy is None:
        yield Check(GROUP, "stores", "the policy is not known", is_made=False)
    for place in patient.places:
        if place.role in patient.gone:
            yield Check(GROUP, place.role, "there are no credentials for it", is_made=False)
            continue
        try:
            store = open_untried(without_public(place.url), patient.environ)
        except OtagateError as error:
            patient.gone.add(place.role)
            code = "identity.none" if isinstance(error, AccessError) else code_of(error)
            yield Check(GROUP, place.role, "", (from_error(code, error, place.scheme),))
            continue
        wait = " (a minute or two, when it does not answer)" if store.where else ""
        patient.listener.note(f"trying {place.role}: {store.url}{wait}")
        yield from _one(patient, place, store)


def without_public(url: str) -> str:
    """Give a store's URL without its public address: what is read then comes from the bucket itself."""
    before, mark, query = url.partition("?")
    if not mark:
        return url
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "public"]
    return f"{before}?{urlencode(kept)}" if kept else before


def _one(patient: Patient, place: Place, store: Store) -> Iterator[Check]:
    if place.has_documents:
        yield _documents(patient, place, store)
        yield _probe(patient, place, store)
    if place.has_blobs:
        yield from _blobs(patient, place, store)


class _Course:
    """Operations one by one: what is allowed, what is not, and what could not be tried."""

    def __init__(self, patient: Patient, place: Place, store: Store) -> None:
        self._patient, self._place, self.store = patient, place, store
        self.done: list[str] = []
        self.troubles: list[Trouble] = []

    @property
    def is_over(self) -> bool:
        """Whether the store does not answer, so that nothing more is tried."""
        return self._place.role in self._patient.gone

    def attempt(self, name: str, action: Callable[[], object], *, severity: Severity = Severity.ERROR) -> bool:
        """Do one thing; give whether it was done."""
        if self.is_over:
            return False
        try:
            action()
        except UnavailableError as error:
            self._end("store.unreachable", error)
        except NotFoundError as error:
            self._end("store.missing", error)
        except AccessError as error:
            if error.expected == CREDENTIALS:
                self._end("identity.refused", error)
                return False
            self._add(from_error("store.permission", error, self.store.url, severity=severity))
        except ConflictError as error:
            if self.store.where:
                self._add(from_error("store.unusable", error, self.store.url))
        except OtagateError as error:
            self._add(from_error(code_of(error), error, self.store.url))
        else:
            self.done.append(name)
            return True
        return False

    def _end(self, code: str, error: OtagateError) -> None:
        self._patient.gone.add(self._place.role)
        self._add(from_error(code, error, self.store.url))

    def _add(self, found: Trouble) -> None:
        """Keep a problem, unless an operation before had the very same for the same reason."""
        if not any((known.code, known.what, known.fix) == (found.code, found.what, found.fix) for known in self.troubles):
            self.troubles.append(found)

    def check(self, name: str) -> Check:
        """Give what came of it."""
        title = f"{self._place.role}: {name}"
        if self.is_over and not self.troubles and not self.done:
            return Check(GROUP, title, _UNREACHED, is_made=False)
        detail = f"{self.store.where or self.store.url}: {', '.join(self.done) or 'nothing could be done'}"
        return Check(GROUP, title, detail, tuple(self.troubles))


def _documents(patient: Patient, place: Place, store: Store) -> Check:
    # A swap in a folder leaves a lock file for its key, so there the key is always the same.
    key = f"{PROBES}{_random() if store.where else 'doctor'}.json"
    course, documents = _Course(patient, place, store), store.documents
    course.attempt("read", lambda: documents.read(key))
    course.attempt("list", lambda: list(documents.keys(PROBES)), severity=Severity.WARNING)
    if not patient.read_only:
        _written(course, documents, key)
    return course.check("documents")


def _written(course: _Course, documents: DocumentStore, key: str) -> None:
    tokens: list[str] = []
    try:
        if course.attempt("create", lambda: tokens.append(documents.create(key, b'{"probe":1}\n'))):
            course.attempt("replace", lambda: documents.replace(key, b'{"probe":2}\n', tokens[0]))
    finally:
        # Also when it was interrupted, and when the answer to a create was lost.
        course.attempt("delete", lambda: documents.delete(key), severity=Severity.WARNING)


def _probe(patient: Patient, place: Place, store: Store) -> Check:
    name = f"{place.role}: second writer"
    if not store.where:
        return Check(GROUP, name, "refused: such a store is otagate's own, and its tests show it")
    if place.role in patient.gone or patient.read_only:
        return Check(GROUP, name, "--read-only" if patient.read_only else _UNREACHED, is_made=False)
    try:
        report = probe_documents(store.documents)
    except AccessError as error:
        return Check(GROUP, name, f"a permission is missing: {error.what}", is_made=False)
    except OtagateError as error:
        return Check(GROUP, name, "", (from_error(code_of(error), error, store.url),))
    troubles = [
        trouble(
            "store.no-conditional-writes", store.where, f"{finding.name}: {finding.found}; expected that {finding.expected}"
        )
        for finding in report.failed
    ]
    if report.left:
        troubles.append(trouble("store.probe-left", f"{store.url}: {', '.join(report.left)}", commands=["otagate prune"]))
    more = tuple(f"{finding.name}: {finding.found}" for finding in report.findings if not finding.ok and not finding.matters)
    return Check(GROUP, name, f"refused, also when {WRITERS} write at once", tuple(troubles), more=more)


def _blobs(patient: Patient, place: Place, store: Store) -> Iterator[Check]:
    body = f"otagate doctor {_random()}\n".encode()
    digest, course = Digest.of(body), _Course(patient, place, store)
    course.attempt("look", lambda: store.blobs.size(digest))
    if patient.read_only or course.is_over:
        yield course.check("blobs")
        yield from check_clock(patient, place, store, digest)
        return
    public: list[Check] = []
    with scratch_folder() as folder:
        source = _source(folder, body)
        with _put(course, store.blobs, digest, source) as is_there:
            if is_there:
                _read_back(course, digest, body)
                public = [*check_signed(place, store, digest, body), *check_public(patient, place, digest, body)]
    yield course.check("blobs")
    yield from check_clock(patient, place, store, digest)
    yield from public


def _source(folder: Path, body: bytes) -> Path:
    path = folder / "probe"
    try:
        path.write_bytes(body)
    except OSError as error:
        raise translate(error, "a file for trying the store cannot be written", path) from error
    return path


def _read_back(course: _Course, digest: Digest, body: bytes) -> None:
    found: list[bytes] = []

    def read() -> None:
        with course.store.blobs.open(digest) as stream:
            found.append(stream.read(len(body) + 1))

    if course.attempt("read", read) and found[0] != body:
        what = f"of {len(body)} bytes other ones came back: {Digest.of(found[0])} instead of {digest}"
        course.troubles.append(trouble("store.wrong-bytes", course.store.url, what))


@contextmanager
def _put(course: _Course, blobs: BlobStore, digest: Digest, source: Path) -> Iterator[bool]:
    try:
        yield course.attempt("put", lambda: blobs.put(digest, source))
    finally:
        course.attempt("delete", lambda: blobs.delete(digest), severity=Severity.WARNING)


def _random() -> str:
    return secrets.token_hex(16)
