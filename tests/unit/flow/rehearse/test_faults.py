from __future__ import annotations

from datetime import timedelta

import pytest

from otagate.errors import UsageError
from otagate.flow.rehearse.faults import FAULTS, read_faults
from otagate.flow.rehearse.model import FaultPlan, Outage

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boot_crash=3%", FaultPlan(boot_crash=0.03)),
        ("late_crash=5%@24h", FaultPlan(late_crash=0.05, late_crash_after=24 * HOUR)),
        ("late_crash=5%", FaultPlan(late_crash=0.05)),
        ("integrity=2%", FaultPlan(integrity=0.02)),
        ("network=32%", FaultPlan(network=0.32)),
        ("metric_outage=8h@30h", FaultPlan(metric_outage=Outage(30 * HOUR, 38 * HOUR))),
        ("reconcile_down=2d", FaultPlan(reconcile_down=Outage(timedelta(0), 48 * HOUR))),
        ("reconcilers=6", FaultPlan(reconcilers=6)),
        ("restart=20%", FaultPlan(restart=0.2)),
    ],
)
def test_faults_are_read(text: str, expected: FaultPlan) -> None:
    assert read_faults([text]) == expected


def test_every_example_can_be_read_and_all_together() -> None:
    plan = read_faults(f"{name}={example}" for name, example in FAULTS.items())
    assert plan.is_of_release
    assert plan.reconcilers == 6
    assert plan.network == 0.32


@pytest.mark.parametrize("text", ["metric_outage=8h", "reconcilers=3", "restart=5%", "network=50%", "reconcile_down=2d@1d"])
def test_what_is_not_of_the_release_makes_its_stop_a_false_one(text: str) -> None:
    assert not read_faults([text]).is_of_release


@pytest.mark.parametrize(
    "text",
    [
        *("boot_crash", "boot_crash=", "boot_crash=3", "boot_crash=300%", "late_crash=5%@soon", "metric_outage=@3h"),
        *("reconcilers=0", "reconcilers=33", "reconcilers=many", "reconcilers=1e1", "reconcilers=", "restart=x"),
    ],
)
def test_values_that_cannot_be_are_refused_with_an_example(text: str) -> None:
    name = text.partition("=")[0]
    with pytest.raises(UsageError) as caught:
        read_faults([text])
    assert f"as in {name}={FAULTS[name]}" in str(caught.value)
    assert "literal" not in str(caught.value)


def test_an_unknown_fault_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="boot_crash=3%"):
        read_faults(["boot_crahs=3%"])
    with pytest.raises(UsageError, match="one of boot_crash"):
        read_faults(["moon=full"])


def test_a_fault_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        read_faults(["restart=5%", "restart=6%"])


def test_an_outage_has_a_beginning_and_an_end() -> None:
    outage = Outage(HOUR, 2 * HOUR)
    assert [outage.covers(hours * HOUR) for hours in (0, 1, 2)] == [False, True, False]
