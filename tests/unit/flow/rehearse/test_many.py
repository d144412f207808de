from __future__ import annotations

from datetime import timedelta

from otagate.flow.rehearse.many import Spread, spread_of, summarise
from otagate.flow.rehearse.model import Ending, Stop
from support.rehearsals import HOUR, made_up


def stop(hours: int, metric: str = "crash_rate", exposed: int = 10) -> Stop:
    return Stop(hours * HOUR, metric, "pause", "why", "beta", "100%", exposed, 2, HOUR)


def test_the_middle_and_the_upper_end_are_values_that_were_seen() -> None:
    assert spread_of([3, 1, 2]) == Spread(2, 3)
    assert spread_of(range(1, 101)) == Spread(50, 90)
    assert spread_of([7]) == Spread(7, 7)
    assert spread_of([]) is None


def test_runs_are_summed_up() -> None:
    runs = [
        made_up(1),
        made_up(2, Ending.STOPPED, stop=stop(4), met=5, back_after=timedelta(hours=9)),
        made_up(3, Ending.STOPPED, stop=stop(8, "device_success_rate", 30), is_false_stop=True),
        made_up(4, Ending.HELD, stop=stop(6, ""), is_held_once=True),
        made_up(5, is_held_once=True, stop=stop(6, "")),
    ]
    found = summarise(runs)
    assert found.endings == {"completed": 2, "stopped": 2, "held": 1, "unfinished": 0}
    assert found.stopped_by == {"crash_rate": 1, "device_success_rate": 1}
    assert (found.runs, found.false_stops, found.held_once) == (5, 1, 2)
    assert found.stopped_after_s == Spread(4 * 3600, 8 * 3600)
    assert found.exposed_at_stop == Spread(10, 30)
    assert found.back_after_s == Spread(9 * 3600, 9 * 3600)
    assert found.ended_after_s == Spread(48 * 3600, 48 * 3600)
    assert found.met == Spread(0, 5)


def test_what_never_happened_has_no_spread() -> None:
    found = summarise([made_up()])
    assert (found.stopped_after_s, found.back_after_s, found.met_at_stop) == (None, None, None)
