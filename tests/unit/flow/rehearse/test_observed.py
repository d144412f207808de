from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import NotFoundError, UsageError
from otagate.flow.rehearse.observed import observe, sum_up
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.interface import Active
from support.counted import WHOLE, record, seen
from support.rehearsals import MONDAY, small_policy


def test_devices_are_counted_by_channel_and_platform() -> None:
    rows = [
        Active("beta", "1.0.0", "ios", 3),
        Active("beta", "1.1.0", "android", 4),
        Active("", "1.0.0", "android", 5),
    ]
    found = sum_up(rows, "stable")
    assert found.devices == 12
    assert found.follows == {"beta": 7, "stable": 5}
    assert found.platforms == {"ios": 3, "android": 9}


def test_the_policys_telemetry_is_asked(tmp_path: Path) -> None:
    seen_at = MONDAY - timedelta(days=2)
    record(
        tmp_path / "t.db",
        *(seen(at, "1.0.0", seen_at, WHOLE, channel="beta", app="com.example.app", running="1.0.0") for at in range(4)),
    )
    policy = replace(small_policy(tmp_path), telemetry=TelemetrySpec(database=f"sqlite:///{tmp_path}/t.db"))
    found = observe(policy, {}, MONDAY, tmp_path)
    assert (found.devices, found.follows) == (4, {"beta": 4})
    with pytest.raises(NotFoundError, match="knows no device"):
        observe(policy, {}, MONDAY + timedelta(days=30), tmp_path)


def test_without_telemetry_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no telemetry"):
        observe(replace(small_policy(tmp_path), telemetry=None), {}, MONDAY, tmp_path)
