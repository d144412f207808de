from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.telemetry.batch import State, clean, gather
from otagate.telemetry.model import NOTHING, Mark, Observation, Progress
from support.devices_told import APP, T0, key, told

OBSERVATIONS = st.lists(
    st.builds(
        lambda mark, number, release, after, running, target, ms: told(
            mark, number, release=release, after=after, running=running, target=target, started_ms=ms
        ),
        st.sampled_from([NOTHING, Mark.OFFERED, Mark.STARTED, Mark.READY, Mark.BOOT, Mark.OFFERED | Mark.RAN]),
        st.integers(0, 3),
        st.sampled_from(["", "1.0.0", "1.1.0"]),
        st.integers(0, 900),
        st.sampled_from([None, "1.0.0", "builtin"]),
        st.sampled_from([None, "1.1.0"]),
        st.sampled_from([None, 5, 10]),
    ),
    max_size=12,
)


@settings(deadline=None)  # a busy machine is no fault
@given(OBSERVATIONS, st.randoms(use_true_random=False))
def test_any_order_and_any_duplicates_fold_the_same_but_for_first_sight(told_: list[Observation], rnd: random.Random) -> None:
    shuffled = told_ + told_[:3]
    rnd.shuffle(shuffled)
    one, other = gather(told_), gather(shuffled)
    assert one.states == other.states
    assert {key: row.progress for key, row in one.rows.items()} == {key: row.progress for key, row in other.rows.items()}


@settings(deadline=None)  # a busy machine is no fault
@given(OBSERVATIONS)
def test_a_row_is_the_join_of_what_was_told_of_it(told_: list[Observation]) -> None:
    batch = gather(told_)
    for (app, release, device), row in batch.rows.items():
        mine = [one for one in told_ if one.release == release and one.device.key == device]
        joined = Progress()
        for one in mine:
            joined = joined.join(Progress.of(one))
        assert (app, row.progress) == (APP, joined)
    assert {device for _, device in batch.states} == {one.device.key for one in told_}
    assert batch.apps == ({APP} if told_ else set())


def test_the_first_one_says_where_it_counts() -> None:
    batch = gather([told(Mark.OFFERED, after=301, weight_bps=500), told(Mark.READY, weight_bps=10_000, channel="beta")])
    assert batch.rows[APP, "1.1.0", key(1)].dimensions == (int(T0.timestamp()) + 300, "stable", "ios", "8.5.0", 500, False)


def test_numbers_beyond_reason_are_bounded() -> None:
    batch = gather([told(Mark.STARTED, weight_bps=99_999, started_ms=-1, verified_ms=2**70)])
    row = batch.rows[APP, "1.1.0", key(1)]
    assert (row.dimensions.weight, row.progress.started_ms, row.progress.verified_ms) == (10_000, None, None)


def test_a_state_fills_what_it_leaves_open() -> None:
    early = State(1, "1.0.0", "1.1.0", "stable", "ios", "8.0.0", "1.0", is_test=False)
    late = State(2, "", "1.2.0", "beta", "ios", "8.0.0", "1.0", is_test=False)
    assert late.after(early) == late._replace(running="1.0.0")
    assert early.after(late) is early


def test_texts_become_printable_and_short() -> None:
    assert clean("8.5.0", 64) == "8.5.0"
    assert clean("a\x00\n\ud800\u202eé", 64) == "a????é"
    assert clean("x" * 99, 3) == "xxx"
