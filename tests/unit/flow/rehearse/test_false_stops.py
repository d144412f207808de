"""What is nobody's fault stops no release."""

from __future__ import annotations

from pathlib import Path

import pytest

from otagate.flow.rehearse.model import Ending
from otagate.flow.rehearse.run import rehearse
from support.rehearsals import HOUR, POLICY, small_policy, small_scenario

GATES = """\
gates:
  verification_time: {limits: [{over: 120s, max_share: 5%, action: pause}], min_sample: 20}
"""


@pytest.mark.parametrize("platform", ["android", "ios"])
def test_downloads_that_break_off_are_no_slow_downloads(platform: str, tmp_path: Path) -> None:
    policy = small_policy(tmp_path, POLICY[: POLICY.index("gates:")].replace("weights: [50%, 100%], ", "") + GATES)
    scenario = small_scenario("network=32%", devices=120, platforms={platform: 1.0}, sessions=24.0, every=6 * HOUR)
    run = rehearse(policy, scenario, 1)
    assert (run.ending, run.is_false_stop) == (Ending.COMPLETED, False), run.outcome
