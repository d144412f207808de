from __future__ import annotations

from collections import Counter
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.telemetry.fold import COUNTED, DAY_S, bucket_of, contribution, difference
from otagate.telemetry.model import BUCKET_S, VERIFY_BOUNDS_S, Counts, Mark, Progress

B = 1_795_255_200
MARKS = st.integers(0, 4095).map(Mark)
INSTANTS = st.none() | st.integers(0, 4_000_000)
PROGRESS = st.builds(Progress, MARKS, INSTANTS, INSTANTS, st.none() | st.integers(B, B + 2 * DAY_S))
OUTCOMES = ("pending", "success", "network", "integrity", "boot", "refusal")


def test_the_columns_are_the_fields_of_counts() -> None:
    fields = set(Counts.__dataclass_fields__) - {"verify", "newest_at"}
    assert fields == {name for name in COUNTED if not name.startswith("verify_")}
    assert sum(name.startswith("verify_") for name in COUNTED) == len(VERIFY_BOUNDS_S) + 1


def test_a_bucket_is_five_minutes() -> None:
    assert [bucket_of(second) for second in (0, 299, 300, B + 1)] == [0, 0, BUCKET_S, B]


@settings(deadline=None)  # a busy machine is no fault
@given(PROGRESS)
def test_a_row_counts_once_and_has_one_outcome(progress: Progress) -> None:
    counted = contribution(progress, B)
    assert set(counted.values()) == {1}
    assert counted["devices"] == 1
    assert [name for name in OUTCOMES if name in counted] == [progress.outcome.value]
    assert sum(name.startswith("verify_") for name in counted) == (progress.verify_ms is not None)
    if "crashed" in counted or "errored" in counted:
        assert "ran" in counted
    if "adopted_24h" in counted:
        assert {"offered", "success"} <= set(counted)


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(PROGRESS, min_size=1, max_size=6))
def test_steps_add_up_to_where_they_lead(steps: list[Progress]) -> None:
    total: Counter[str] = Counter()
    now: Progress | None = None
    for step in steps:
        then = step if now is None else now.join(step)
        total.update(difference(contribution(then, B), contribution(now, B)))
        now = then
    assert {name: count for name, count in total.items() if count} == contribution(now, B)


def test_bins_include_their_upper_bound() -> None:
    def bin_of(took_ms: int) -> list[str]:
        progress = Progress(Mark.VERIFIED, 1000, 1000 + took_ms)
        return [name for name in contribution(progress, B) if name.startswith("verify_")]

    assert [bin_of(took) for took in (0, 1000, 1001, 45_000, 1_800_000, 1_800_001)] == [
        ["verify_0"],
        ["verify_0"],
        ["verify_1"],
        ["verify_7"],
        ["verify_14"],
        ["verify_15"],
    ]


def test_the_last_try_is_what_a_download_took() -> None:
    steps = [Progress(Mark.STARTED, 1_000), Progress(Mark.STARTED, 7_200_000), Progress(Mark.VERIFIED, None, 7_203_000)]
    for order in permutations(steps):
        whole = order[0].join(order[1]).join(order[2]).join(order[0])
        assert whole.verify_ms == 3_000
        assert "verify_2" in contribution(whole, B)


def test_adoption_ends_24_hours_after_the_bucket_began() -> None:
    def is_adopted(success_s: int, marks: Mark = Mark.OFFERED | Mark.READY) -> bool:
        return "adopted_24h" in contribution(Progress(marks, success_s=success_s), B)

    assert is_adopted(B + DAY_S - 1)
    assert not is_adopted(B + DAY_S)
    assert not is_adopted(B, Mark.READY)
    assert not is_adopted(B, Mark.OFFERED | Mark.READY | Mark.BOOT)
