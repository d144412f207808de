"""What doctor finds about stores: each operation on its own, and nothing left behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UnavailableError
from otagate.flow.doctor.model import Check
from otagate.flow.doctor.patient import Patient
from otagate.flow.doctor.stores import check_stores, without_public
from otagate.policy.model.policy import Policy
from otagate.store import registry
from otagate.store.cloud import cloud_store
from otagate.store.interface import Store
from otagate.store.memory import MemoryStore
from otagate.store.objects import BrokenRequestError, DeniedError, NoBucketError, ObjectError, RefusedError, TransientError
from support.buckets_memory import MemoryObjects
from support.world import JumpClock, make_policy

_names = itertools.count()


def held(store: Store) -> str:
    """Give a URL under which the store is opened."""
    name = f"doctor-{next(_names)}"
    registry._memory[name] = store
    return f"memory:{name}"


def bucket(objects: MemoryObjects) -> str:
    clock = JumpClock()
    return held(cloud_store("bucket", objects, "p/", sleep=clock.sleep))


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return make_policy(tmp_path)


def look(policy: Policy, tmp_path: Path, *, read_only: bool = False) -> tuple[dict[str, Check], Patient]:
    patient = Patient(None, tmp_path, {}, JumpClock(), read_only, policy=policy)
    return {check.name: check for check in check_stores(patient)}, patient


def codes(checks: dict[str, Check]) -> list[tuple[str, str]]:
    return [(found.code, found.severity.value) for check in checks.values() for found in check.troubles]


def refuse(name: str, part: str, error: ObjectError) -> Callable[[str, str], None]:
    def before(operation: str, key: str) -> None:
        if operation == name and part in key:
            raise error

    return before


def test_a_store_that_is_well_is_left_as_it_was(policy: Policy, tmp_path: Path) -> None:
    objects = MemoryObjects()
    checks, patient = look(replace(policy, storage=bucket(objects)), tmp_path)
    assert codes(checks) == []
    assert objects.held == {}
    assert not patient.gone
    assert set(checks) == {"storage: documents", "storage: second writer", "storage: blobs", "storage: clock"}


DENIED = DeniedError("AccessDenied", permission="s3:Something")


@pytest.mark.parametrize(
    ("operation", "part", "severities"),
    [
        ("read", "probe/", {"error"}),
        ("list", "probe/", {"warning"}),
        ("put", "probe/", {"error"}),
        ("delete", "probe/", {"warning", "note"}),
        ("head", "blobs/", {"error"}),
        ("upload", "blobs/", {"error"}),
        ("stream", "blobs/", {"error"}),
        ("delete", "blobs/", {"warning"}),
    ],
)
def test_a_permission_that_is_missing_is_named(
    operation: str, part: str, severities: set[str], policy: Policy, tmp_path: Path
) -> None:
    objects = MemoryObjects()
    objects.before = refuse(operation, part, DENIED)
    checks, _ = look(replace(policy, storage=bucket(objects)), tmp_path)
    assert {severity for _, severity in codes(checks)} == severities
    found = next(found for check in checks.values() for found in check.troubles if found.code == "store.permission")
    assert "s3:Something" in found.fix
    left = {key for key in objects.held if part in key} if operation == "delete" else set()
    assert set(objects.held) == left


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransientError("no answer", 1e6), "store.unreachable"),
        (NoBucketError("NoSuchBucket"), "store.missing"),
        (DeniedError("the secret key is wrong", of_credentials=True), "identity.refused"),
    ],
)
def test_a_store_that_is_not_there_is_asked_once(error: ObjectError, code: str, policy: Policy, tmp_path: Path) -> None:
    objects = MemoryObjects()
    objects.before = refuse("read", "", error)
    checks, patient = look(replace(policy, storage=bucket(objects)), tmp_path)
    assert codes(checks) == [(code, "error")]
    assert patient.gone == {"storage"}
    assert patient.documents_gone
    for name in ("second writer", "blobs"):
        assert not checks[f"storage: {name}"].is_made
        assert checks[f"storage: {name}"].detail == "the store cannot be used; see above"
    assert not {name for name, _ in objects.calls} & {"put", "upload"}


def test_a_request_that_the_service_finds_wrong(policy: Policy, tmp_path: Path) -> None:
    objects = MemoryObjects()
    objects.before = refuse("upload", "", BrokenRequestError("InvalidRequest"))
    checks, _ = look(replace(policy, storage=bucket(objects)), tmp_path)
    assert codes(checks) == [("store.unusable", "error")]


def test_a_create_that_is_refused_though_nobody_is_there(policy: Policy, tmp_path: Path) -> None:
    class Refusing(MemoryObjects):
        def put(self, key: str, *args: Any) -> str:
            super().put(key, *args)
            raise RefusedError("there is something")

    checks, _ = look(replace(policy, storage=bucket(Refusing())), tmp_path)
    assert {code for code, _ in codes(checks)} == {"store.unusable", "store.no-conditional-writes"}


def test_conditions_that_are_ignored_are_found(policy: Policy, tmp_path: Path) -> None:
    class Careless(MemoryObjects):
        def put(self, key: str, body: bytes, headers: Any, condition: Any) -> str:
            self.held.pop(key, None)
            from otagate.store.objects import Absent

            return super().put(key, body, headers, Absent())

    checks, _ = look(replace(policy, storage=bucket(Careless())), tmp_path)
    second = checks["storage: second writer"]
    assert {found.code for found in second.troubles} == {"store.no-conditional-writes"}
    assert any(found.what.startswith("stale-swap") for found in second.troubles)
    assert "documents: URL" in second.troubles[0].fix


def test_bytes_that_come_back_wrong_are_found(policy: Policy, tmp_path: Path) -> None:
    class Flipping(MemoryObjects):
        def stream(self, key: str, start: int) -> Any:
            for piece in super().stream(key, start):
                yield bytes([piece[0] ^ 1]) + piece[1:]

    checks, _ = look(replace(policy, storage=bucket(Flipping())), tmp_path)
    assert codes(checks) == [("store.wrong-bytes", "error")]


def test_read_only_only_reads(policy: Policy, tmp_path: Path) -> None:
    objects = MemoryObjects()
    checks, _ = look(replace(policy, storage=bucket(objects)), tmp_path, read_only=True)
    assert {name for name, _ in objects.calls} == {"read", "list", "head"}
    assert checks["storage: second writer"].status.value == "not checked"
    assert codes(checks) == []


def test_documents_and_mirrors_are_tried_for_what_they_hold(policy: Policy, tmp_path: Path) -> None:
    several = replace(
        policy, storage=bucket(MemoryObjects()), documents=bucket(MemoryObjects()), mirrors=(bucket(MemoryObjects()),)
    )
    checks, _ = look(several, tmp_path)
    assert [name for name in checks if not name.endswith("clock")] == [
        *("storage: blobs", "documents: documents", "documents: second writer"),
        *("mirrors[0]: documents", "mirrors[0]: second writer", "mirrors[0]: blobs"),
    ]


def test_one_store_that_is_gone_hides_no_other(policy: Policy, tmp_path: Path) -> None:
    objects = MemoryObjects()
    objects.before = refuse("read", "", TransientError("no answer", 1e6))
    checks, patient = look(replace(policy, storage=bucket(MemoryObjects()), mirrors=(bucket(objects),)), tmp_path)
    assert codes(checks) == [("store.unreachable", "error")]
    assert checks["storage: documents"].status.value == "ok"
    assert patient.gone == {"mirrors[0]"}
    assert not patient.documents_gone


def test_a_url_that_cannot_be_opened_is_said(policy: Policy, tmp_path: Path) -> None:
    checks, patient = look(replace(policy, storage="s3://acme-updates"), tmp_path)
    assert codes(checks) == [("store.unusable", "error")]
    assert patient.gone == {"storage"}
    assert "region=" in checks["storage"].troubles[0].fix


def test_without_a_policy_there_is_no_store(tmp_path: Path) -> None:
    checks = list(check_stores(Patient(None, tmp_path, {})))
    assert [(check.name, check.is_made) for check in checks] == [("stores", False)]


def test_what_has_no_credentials_is_not_asked(policy: Policy, tmp_path: Path) -> None:
    patient = Patient(None, tmp_path, {}, JumpClock(), policy=policy, gone={"storage"})
    (check,) = check_stores(patient)
    assert (check.is_made, check.detail) == (False, "there are no credentials for it")


def test_a_store_of_our_own_needs_no_probe(policy: Policy, tmp_path: Path) -> None:
    store = MemoryStore()
    checks, _ = look(replace(policy, storage=held(store)), tmp_path)
    assert codes(checks) == []
    assert list(store.documents.keys("probe/")) == []


def test_a_folder_gathers_no_lock_files(policy: Policy, tmp_path: Path) -> None:
    several = replace(policy, storage=f"file:{tmp_path / 'store'}")
    for _ in range(3):
        checks, _ = look(several, tmp_path)
        assert codes(checks) == []
    assert len(list((tmp_path / "store" / ".locks").iterdir())) == 1
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file() and ".locks" not in path.parts] == []


def test_an_interrupt_leaves_nothing(policy: Policy, tmp_path: Path) -> None:
    class Interrupted(MemoryStore):
        pass

    store = Interrupted()
    documents = store.documents

    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    documents.replace = stop  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        look(replace(policy, storage=held(store)), tmp_path)
    assert list(documents.keys("probe/")) == []


def test_a_machine_without_room_for_a_probe(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnavailableError, match="cannot be written"):
        look(replace(policy, storage=held(MemoryStore())), tmp_path)


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("s3://b/p?public=https://cdn.example.com", "s3://b/p"),
        (
            "s3://b/p?region=eu-west-1&public=https://cdn.example.com&path_style=true",
            "s3://b/p?region=eu-west-1&path_style=true",
        ),
        ("s3://b", "s3://b"),
        ("file:/a/b", "file:/a/b"),
    ],
)
def test_the_public_address_is_left_out_for_the_store_itself(url: str, direct: str) -> None:
    assert without_public(url) == direct
