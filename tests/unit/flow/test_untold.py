"""What an old plugin cannot tell is said, and by the same table that virtual phones follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from otagate.flow.untold import untold
from support.rehearsals import POLICY, small_policy

GATES = """\
gates:
  crash_rate: {max: 2%}
  crashes_on_ios: {max: 2%, source: {telemetry: {metric: crash_rate, platform: ios}}}
  device_success_rate: {min: 85%, maturity: 30m}
  verification_time: {limits: [{over: 120s, max_share: 5%, action: pause}]}
  error_rate: {max: 1%, source: {file: "errors-{release}.json"}}
"""


@pytest.mark.parametrize(
    ("version", "silent"),
    [
        ("8.51.23", []),
        ("8.45.0", ["crash_rate", "crashes_on_ios"]),
        ("8.41.3", ["crash_rate", "crashes_on_ios", "verification_time"]),
        ("7.0.50", ["crash_rate", "crashes_on_ios", "verification_time"]),
        ("9.0.0", []),
        (None, []),
    ],
)
def test_gates_of_telemetry_that_a_plugin_leaves_without_numbers(
    version: str | None, silent: list[str], tmp_path: Path
) -> None:
    policy = small_policy(tmp_path, POLICY[: POLICY.index("gates:")] + GATES)
    assert list(untold(policy.gates, version)) == silent


def test_the_sentence_names_the_first_versions_that_tell(tmp_path: Path) -> None:
    policy = small_policy(tmp_path, POLICY[: POLICY.index("gates:")] + GATES)
    said = untold(policy.gates, "8.41.3")["verification_time"]
    assert said.startswith("verification_time: the plugin 8.41.3 sends no times")
    assert said.endswith("5.50.1, 6.50.1, 7.50.1 and 8.42.0 and newer do")
