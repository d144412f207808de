"""Which releases stay and which blobs go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.model import Digest, Version
from otagate.policy.model.stores import KeepSpec
from otagate.release.retention import Known, Uses, kept, referenced, removable
from otagate.store.interface import StoredBlob

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
NOBODY = Uses({}, {})
STRICT = KeepSpec(releases=1, age=DAY, rollbacks=2, grace=DAY)


def known(number: int, *, age: timedelta = 30 * DAY, blob: int | None = None) -> Known:
    content = number if blob is None else blob
    return Known(Version(f"{number}.0.0"), number, NOW - age, Digest.of(b"%d" % content), 10)


def v(number: int) -> Version:
    return Version(f"{number}.0.0")


FIVE = [known(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("releases", "uses", "spec", "expected"),
    [
        pytest.param(FIVE, NOBODY, STRICT, {5: "one of the newest 1"}, id="the newest by serial"),
        pytest.param(FIVE, NOBODY, KeepSpec(3, DAY, 1, DAY), dict.fromkeys((3, 4, 5), "one of the newest 3"), id="so many"),
        pytest.param(
            [known(1, age=DAY / 2), known(2)], NOBODY, STRICT, {2: "one of the newest 1", 1: "younger than 1d"}, id="young ones"
        ),
        pytest.param([known(1, age=DAY), known(2)], NOBODY, STRICT, {2: "one of the newest 1"}, id="just too old"),
        pytest.param(
            [known(1, age=-DAY), known(2)], NOBODY, STRICT, {1: "younger than 1d", 2: "one of the newest 1"}, id="the future"
        ),
        pytest.param(
            FIVE,
            Uses({v(1): "channel live serves it"}, {}),
            STRICT,
            {1: "channel live serves it", 5: "one of the newest 1"},
            id="what a channel names",
        ),
        pytest.param(
            FIVE,
            Uses({}, {"live": [v(4), v(2), v(1)], "beta": [v(3)]}),
            STRICT,
            {
                4: "one of the last 2 that channel live served",
                2: "one of the last 2 that channel live served",
                3: "one of the last 2 that channel beta served",
                5: "one of the newest 1",
            },
            id="what each channel served last",
        ),
        pytest.param(
            FIVE, Uses({}, {}, {v(2)}), STRICT, {2: "devices run it", 5: "one of the newest 1"}, id="what devices run"
        ),
        pytest.param(FIVE, Uses({}, {}, {v(9)}), STRICT, {5: "one of the newest 1"}, id="what was never published"),
        pytest.param([], NOBODY, STRICT, {}, id="nothing"),
    ],
)
def test_what_stays(releases: list[Known], uses: Uses, spec: KeepSpec, expected: dict[int, str]) -> None:
    assert kept(releases, uses, spec, NOW) == {v(number): why for number, why in expected.items()}


def test_a_bundle_stays_as_long_as_one_release_that_stays_has_it() -> None:
    releases = [known(1, blob=7), known(2, blob=7), known(3)]
    assert referenced(releases, {v(2)}) == {Digest.of(b"7")}


def stored(number: int, *, age: timedelta = 3 * DAY, size: int = 10) -> StoredBlob:
    return StoredBlob(Digest.of(b"%d" % number), size, NOW - age)


def test_blobs_go_that_nothing_names_oldest_first() -> None:
    listing = [stored(1), stored(2, age=5 * DAY), stored(3, age=9 * DAY), stored(4, age=DAY / 2)]
    going = removable([listing], {Digest.of(b"3")}, NOW - DAY)
    assert list(going.items()) == [(Digest.of(b"2"), (10,)), (Digest.of(b"1"), (10,))]


def test_a_blob_that_one_store_got_a_short_while_ago_stays_in_all() -> None:
    first, mirror = [stored(1), stored(2)], [stored(1, age=DAY / 2), stored(3)]
    going = removable([first, mirror], set(), NOW - DAY)
    assert dict(going) == {Digest.of(b"2"): (10, -1), Digest.of(b"3"): (-1, 10)}


numbers = st.integers(1, 12)
spans = st.integers(0, 60).map(lambda days: days * DAY)


@given(
    releases=st.lists(st.builds(known, numbers, age=spans, blob=numbers), max_size=12, unique_by=lambda one: one.version),
    uses=st.builds(
        Uses,
        st.dictionaries(numbers.map(v), st.just("somebody names it")),
        st.dictionaries(st.sampled_from(["live", "beta"]), st.lists(numbers.map(v), unique=True)),
        st.frozensets(numbers.map(v)),
    ),
    spec=st.builds(KeepSpec, st.integers(1, 5), spans, st.integers(0, 5), spans),
    blobs=st.lists(st.builds(stored, numbers, age=spans), unique_by=lambda blob: blob.digest),
)
def test_nothing_goes_that_is_named_served_run_young_or_among_the_newest(
    releases: list[Known],
    uses: Uses,
    spec: KeepSpec,
    blobs: list[StoredBlob],
) -> None:
    keep = kept(releases, uses, spec, NOW)
    going = removable([blobs], referenced(releases, keep), NOW - spec.grace)
    newest = sorted(releases, key=lambda one: one.serial)[-spec.releases :]
    window = {version for versions in uses.served.values() for version in versions[: spec.rollbacks]}
    for release in releases:
        is_needed = (
            release.version in {*uses.named, *uses.in_use, *window} or release in newest or NOW - release.created < spec.age
        )
        if is_needed:
            assert release.blob not in going
            assert release.version in keep
    for blob in blobs:
        if blob.digest in going:
            assert NOW - blob.modified > spec.grace
    # And it is of use: what nothing needs and is old goes.
    needed = {release.blob for release in releases if release.version in keep}
    assert set(going) == {blob.digest for blob in blobs if blob.digest not in needed and NOW - blob.modified > spec.grace}
