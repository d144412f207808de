from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.flow.rehearse.assumed import AssumedShare, bad_share, is_any_beyond, read_assumed, with_assumed
from otagate.flow.rehearse.model import Ending
from otagate.flow.rehearse.run import rehearse
from otagate.gate.interface import Measurement, MetricQuery
from otagate.policy.model.gates import GateSpec, ValueLimit
from support.rehearsals import HOUR, MONDAY, POLICY, small_policy, small_scenario

ERRORS = GateSpec("checkout_errors", max=Decimal("0.02"))
PAID = GateSpec("paid", min=Decimal("0.9"))
SLOW = GateSpec("latency", value=ValueLimit(max=Decimal(300)))
QUERY = MetricQuery("checkout_errors", "com.example.app", "beta", "1.0.2", MONDAY, MONDAY + HOUR, 500)


@dataclass
class Counting:
    """A source of so many devices."""

    total: int | None

    def read(self, query: MetricQuery) -> Measurement:
        return Measurement(0, self.total, MONDAY, f"devices of {query.metric}", "d")


def bad(total: int | None, share: float = 0.1, seed: int = 1) -> int | None:
    return AssumedShare(Counting(total), share, seed).read(QUERY).bad


def test_rates_are_read() -> None:
    assert read_assumed(["paid=97%", "checkout_errors=0%"], [ERRORS, PAID, SLOW]) == {"paid": 0.97, "checkout_errors": 0.0}
    assert read_assumed([], []) == {}


@pytest.mark.parametrize(
    ("text", "gates", "said"),
    [
        ("paied=97%", [PAID], "did you mean paid"),
        ("latency=3%", [PAID, SLOW], "one of paid"),
        ("crash_rate=3%", [], "see --fault"),
        ("paid", [PAID], "this is no share"),
        ("paid=120%", [PAID], "this is no share"),
    ],
)
def test_what_cannot_be_assumed(text: str, gates: list[GateSpec], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_assumed([text], gates)
    assert said in str(caught.value)


def test_a_rate_is_that_of_the_gate() -> None:
    assert (bad_share(ERRORS, 0.1), bad_share(PAID, 0.75)) == (0.1, 0.25)
    assert is_any_beyond([ERRORS, PAID], {"checkout_errors": 0.03})
    assert is_any_beyond([ERRORS, PAID], {"paid": 0.8})
    assert not is_any_beyond([ERRORS, PAID, SLOW], {"paid": 0.91, "checkout_errors": 0.02})


def test_so_many_are_bad_as_is_assumed_and_they_stay_so() -> None:
    counts = [bad(total) or 0 for total in range(0, 2000, 50)]
    assert counts == sorted(counts)
    assert 150 < counts[-1] < 250
    assert bad(1000) == bad(1000)
    assert len({bad(1000, seed=seed) for seed in range(5)}) > 1
    assert (bad(500, 0.0), bad(500, 1.0), bad(None, 1.0)) == (0, 500, 0)


def test_only_assumed_metrics_are_drawn() -> None:
    plain = {"checkout_errors": Counting(100), "paid": Counting(100), "crash_rate": Counting(100)}
    found = with_assumed(plain, [ERRORS, PAID, GateSpec("crash_rate")], {"paid": 0.0}, 1)
    assert {metric: source.read(QUERY).bad for metric, source in found.items()} == {
        "checkout_errors": 0,
        "paid": 100,
        "crash_rate": 0,
    }
    assert found["paid"].read(QUERY).query == "assumed: 100% of devices of checkout_errors"


@pytest.mark.parametrize(("rate", "ending"), [(0.6, Ending.STOPPED), (0.0, Ending.UNFINISHED)])
def test_a_release_is_stopped_by_what_is_assumed(tmp_path: Path, rate: float, ending: Ending) -> None:
    gate = "  checkout_errors: {max: 10%, action: rollback, min_sample: 5, source: {file: x.json}}\n"
    scenario = small_scenario(assumed={"checkout_errors": rate}, until=timedelta(hours=16))
    run = rehearse(small_policy(tmp_path, POLICY + gate), scenario, 1)
    assert (run.ending, run.is_false_stop, run.met) == (ending, False, 0)
    assert (run.stop is not None and run.stop.metric == "checkout_errors") == (ending is Ending.STOPPED)
