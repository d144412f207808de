from __future__ import annotations

import pytest

from otagate.flow.rehearse.model import Scenario
from otagate.flow.rehearse.usual import CRASH_RATE, shares_of
from support.rehearsals import MONDAY


def test_shares_are_even_but_for_the_last_channel() -> None:
    assert shares_of(["only"]) == {"only": 1.0}
    assert shares_of(["beta", "stable"]) == pytest.approx({"beta": 0.2, "stable": 0.8})
    assert shares_of(["a", "b", "c", "d", "e"])["e"] == pytest.approx(0.4)


def test_what_is_supposed_is_what_is_rehearsed() -> None:
    assert Scenario("production", MONDAY).crash_rate == CRASH_RATE
