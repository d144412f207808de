from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate import _canonical
from otagate.errors import VerificationError
from otagate.model import AppId, Digest, FileEntry, Release, Version
from otagate.seal.statement import PREDICATE_TYPE, STATEMENT_TYPE, from_statement, to_statement
from support.releases import CREATED, bare_release, full_release


@pytest.mark.parametrize("release", [full_release(), bare_release()], ids=["full", "bare"])
def test_a_release_comes_back_as_it_was(release: Release) -> None:
    assert from_statement(to_statement(release), subject="x") == release


def test_the_same_release_gives_the_same_canonical_bytes() -> None:
    data = to_statement(full_release())
    assert data == to_statement(full_release())
    assert data == _canonical.dumps(json.loads(data))


def test_it_is_an_in_toto_statement_about_both_zips() -> None:
    release = full_release()
    statement = json.loads(to_statement(release))
    assert statement["_type"] == STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE == "https://otagate.dev/release/v1"
    assert statement["subject"] == [
        {"name": "com.example.app-1.2.3-beta.1.zip", "digest": {"sha256": release.bundle.archive.hex}},
        {"name": "com.example.app-1.2.3-beta.1.sealed.zip", "digest": {"sha256": release.sealed.blob.hex}},
    ]


def test_every_file_is_in_it() -> None:
    statement = json.loads(to_statement(full_release()))
    assert [file["path"] for file in statement["predicate"]["bundle"]["files"]] == ["app.js", "index.html"]


def test_instants_are_written_in_utc() -> None:
    elsewhere = CREATED.astimezone(timezone(timedelta(hours=9)))
    assert to_statement(full_release(created=elsewhere)) == to_statement(full_release())


def test_fields_of_later_versions_are_let_through() -> None:
    statement = json.loads(to_statement(full_release()))
    statement["predicate"]["later"] = statement["later"] = 1
    assert from_statement(_canonical.dumps(statement), subject="x") == full_release()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if "provenance" in path or (path[:1] == ("subject",)):
            continue
        yield (*path, name)
        yield from _paths(item, (*path, name))


STATEMENT = json.loads(to_statement(full_release()))
EVERY = list(_paths(STATEMENT))
FIELDS = [path for path in EVERY if isinstance(path[-1], str)]


def _put(path: tuple[Any, ...], value: Any) -> bytes:
    changed = copy.deepcopy(STATEMENT)
    place = changed
    for name in path[:-1]:
        place = place[name]
    if value is None and isinstance(path[-1], str):
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(changed).encode()


def _ids(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def test_the_table_of_fields_is_complete() -> None:
    assert len(FIELDS) == 38


@pytest.mark.parametrize("path", FIELDS, ids=_ids)
def test_a_missing_field_is_named(path: tuple[Any, ...]) -> None:
    with pytest.raises(VerificationError) as caught:
        from_statement(_put(path, None), subject="1.2.3.json")
    assert caught.value.what.endswith(f"{path[-1]} is wrong")
    assert caught.value.found == "nothing: the field is missing"
    assert caught.value.subject == "1.2.3.json"


@pytest.mark.parametrize("path", EVERY, ids=_ids)
@pytest.mark.parametrize("wrong", [True, -1, 1.5, [], [[]], {}, "\u202e"], ids=repr)
def test_a_value_of_the_wrong_kind_is_refused(path: tuple[Any, ...], wrong: object) -> None:
    place: Any = STATEMENT
    for name in path:
        place = place[name]
    is_free_text = isinstance(place, str) and isinstance(wrong, str)
    if (type(place) is type(wrong) and not wrong) or is_free_text:
        return  # an empty list of files or a strange compressor is a value like any other
    with pytest.raises(VerificationError) as caught:
        from_statement(_put(path, wrong), subject="x")
    assert "\u202e" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("predicate", "app"), "../x"),
        (("predicate", "version"), "1.0"),
        (("predicate", "created"), "2026-01-31"),
        (("predicate", "created"), "2026-01-31T00:00:00"),
        (("predicate", "expires"), "soon"),
        (("predicate", "expires"), "0001-01-01T00:00:00+14:00"),
        (("predicate", "channels", 0), "a/b"),
        (("predicate", "bundle", "archive"), "AB" * 32),
        (("predicate", "bundle", "files", 0, "sha256"), "ab"),
        (("predicate", "sealed", "blob"), ""),
        (("predicateType",), "https://slsa.dev/provenance/v1"),
        (("_type",), "https://in-toto.io/Statement/v0.1"),
    ],
)
def test_what_the_model_refuses_is_named(path: tuple[Any, ...], value: str) -> None:
    with pytest.raises(VerificationError) as caught:
        from_statement(_put(path, value), subject="x")
    last = next(name for name in reversed(path) if isinstance(name, str))
    assert last in caught.value.what
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "subjects",
    [
        [],
        STATEMENT["subject"][:1],
        STATEMENT["subject"][::-1],
        [*STATEMENT["subject"], STATEMENT["subject"][0]],
        [STATEMENT["subject"][0] | {"name": "other.zip"}, STATEMENT["subject"][1]],
        [STATEMENT["subject"][0], STATEMENT["subject"][1] | {"digest": {"sha256": "00" * 32}}],
    ],
)
def test_subjects_that_are_not_the_files_of_the_predicate(subjects: list[Any]) -> None:
    with pytest.raises(VerificationError, match="contradicts itself"):
        from_statement(_put(("subject",), subjects), subject="x")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"1", b"{}", b"\xff", b'{"a":1,"a":2}', b"NaN"])
def test_what_is_no_statement_at_all(data: bytes) -> None:
    with pytest.raises(VerificationError):
        from_statement(data, subject="x")


def test_floats_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="no floats"):
        to_statement(full_release(provenance={"a": 1.5}))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    paths=st.lists(_TEXT, max_size=5),
    serial=st.integers(0, 2**53),
    created=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),
    commit=st.none() | _TEXT,
)
def test_any_release_comes_back(paths: list[str], serial: int, created: datetime, commit: str | None) -> None:
    entries = tuple(FileEntry(path, len(path), Digest.of(path.encode())) for path in paths)
    base = full_release()
    bundle = type(base.bundle)(base.bundle.archive, 1, entries, base.bundle.content, "x")
    release: Release = full_release(
        app=AppId("a.b"), version=Version("1.0.0"), serial=serial, created=created, commit=commit, bundle=bundle
    )
    assert from_statement(to_statement(release), subject="x") == release
