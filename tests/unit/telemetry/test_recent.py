from __future__ import annotations

from otagate.telemetry.model import Mark
from otagate.telemetry.recent import Recent
from support.devices_told import told


def test_the_same_again_is_known_within_a_bucket() -> None:
    recent = Recent()
    assert not recent.is_told([told(Mark.RAN, running="1.0.0"), told(Mark.OFFERED)])
    assert recent.is_told([told(Mark.RAN, running="1.0.0", after=299), told(Mark.OFFERED, after=299)])
    assert not recent.is_told([told(Mark.RAN, running="1.0.0", after=300), told(Mark.OFFERED, after=300)])


def test_there_and_back_again_is_new_each_time() -> None:
    recent = Recent()
    told_ = [[told(Mark.RAN, running=version)] for version in ("1.0.0", "1.1.0", "1.0.0")]
    assert [recent.is_told(one) for one in told_] == [False, False, False]


def test_what_was_told_otherwise_makes_it_new() -> None:
    recent = Recent()
    assert not recent.is_told([told(Mark.RAN)])
    recent.changed([told(Mark.CRASHED), told(Mark.CRASHED, 2)])
    assert not recent.is_told([told(Mark.RAN)])
    recent.clear()
    assert not recent.is_told([told(Mark.RAN)])


def test_it_holds_so_many_devices_and_forgets_the_one_longest_silent() -> None:
    recent = Recent(2)
    for number in (1, 2, 1, 3):
        recent.is_told([told(Mark.RAN, number)])
    assert len(recent) == 2
    assert recent.is_told([told(Mark.RAN, 1)])
    assert not recent.is_told([told(Mark.RAN, 2)])
