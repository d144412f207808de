from __future__ import annotations

import json
from pathlib import Path

import pytest

from otagate.notify._kinds import KINDS
from otagate.policy.check_windows import EVENTS
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.policy.model.windows import Freeze, Window, WindowsSpec
from support.policies import load, the_problem

WRONG = {
    "windows: {timezone: Europe/Berlinn}": "there is no such time zone; expected a name such as Europe/Berlin, found 'Europe/Berlinn' (did you mean 'Europe/Berlin'?)",
    "windows: {timezone: CEST+}": "there is no such time zone",
    "windows: {timezone: localtime}": "there is no such time zone",
    "windows: {timezone: posix/Europe/Berlin}": "there is no such time zone",
    "windows: {timezone: Europe}": "there is no such time zone",
    "windows: {timezone: ../Berlin}": "found '../Berlin'",
    "windows: {timezone: 2}": "expected a name of the IANA time zone database such as Europe/Berlin, found 2",
    "windows: {allow: {days: [mon]}}": "expected a list of windows with `days`, `from` and `to`, found a mapping",
    "windows: {allow: [{}]}": "expected a mapping with `days`, `from` or `to`, found an empty one",
    "windows: {allow: [{days: [monday]}]}": "expected one of mon, tue, wed, thu, fri, sat, sun, found 'monday'",
    "windows: {allow: [{days: [mon, mon]}]}": "each once",
    "windows: {allow: [{from: 9:00}]}": "expected a time of day such as 09:00, found '9:00'",
    "windows: {allow: [{to: 24:30}]}": "expected a time of day such as 16:00, at most 24:00, found '24:30'",
    "windows: {allow: [{from: 22:00, to: 04:00}]}": "a window ends on the day it begins; expected after 22:00, found 04:00 (over midnight, write two windows",
    "windows: {allow: [{from: 09:00, to: 09:00}]}": "expected after 09:00, found 09:00",
    "windows: {freeze: [{from: 2026-12-20}]}": "the key 'to' is missing",
    "windows: {freeze: [{from: 20.12.2026, to: 2026-12-21}]}": "expected such as 2026-12-20 or 2026-12-20T18:00, found '20.12.2026'",
    "windows: {freeze: [{from: 2026-02-29, to: 2026-03-01}]}": "this is no day or local time; expected such as",
    "windows: {freeze: [{from: 2026-02-20T24:30, to: 2026-03-01}]}": "this is no day or local time; expected such as",
    "windows: {freeze: [{from: 0001-01-01, to: 2026-03-01}]}": "this is no day or local time",
    "windows: {freeze: [{from: 2026-01-01, to: 9999-12-31}]}": "this is no day or local time",
    "windows: {freeze: [{from: 2026-12-20, to: 2026-12-19}]}": "a freeze ends after it begins; expected after 2026-12-20, found 2026-12-19",
    "windows: {freeze: [{from: 2026-12-20T18:00, to: 2026-12-20T18:00}]}": "a freeze ends after it begins",
    "notify: {a: {}}": "expected exactly one of `slack`, `teams`, `webhook` and `apprise`, found none of them",
    "notify: {a: {slack: 'env:A', teams: 'env:B'}}": "found `slack` and `teams`",
    "notify: {a: {slack: 'https://hooks.example/T000/hunter2'}}": "expected a reference: `env:NAME` or `file:PATH`, found 34 characters that are not shown",
    "notify: {a: {slack: 'env:A', secret: 'env:S'}}": "`secret` goes with `webhook` only",
    "notify: {a: {webhook: 'env:A', secret: hunter2}}": "found 7 characters that are not shown",
    "notify: {a: {slack: 'env:A', events: rollout.paused}}": "expected a list of events or globs",
    "notify: {a: {slack: 'env:A', events: []}}": "found an empty one",
    "notify: {a: {slack: 'env:A', events: [Paused]}}": "expected an event such as rollout.paused, or a glob such as rollout.*",
    "notify: {a b: {slack: 'env:A'}}": "this name cannot be used; expected a name of 1 to 64 letters",
}


@pytest.mark.parametrize(("line", "said"), WRONG.items())
def test_one_wrong_line_is_one_problem(line: str, said: str, tmp_path: Path) -> None:
    found = the_problem(tmp_path, f"gates: {{}}\n{line}\n")
    assert found.startswith("otagate.yml:7:")
    assert said in found
    assert "hunter2" not in found


def test_windows_are_read(tmp_path: Path) -> None:
    text = """\
gates: {}
windows:
  timezone: Europe/Berlin
  allow:
    - {days: [thu, mon], from: 09:00, to: 16:30}
    - {days: [sat]}
    - {to: 01:00}
  freeze:
    - {from: 2026-12-20, to: 2026-12-20, reason: "a day"}
    - {from: 2026-12-24T18:00, to: 2027-01-03}
"""
    windows = load(tmp_path, text).windows
    assert windows == WindowsSpec(
        "Europe/Berlin",
        (Window((0, 3), 540, 990), Window((5,), 0, 1440), Window((0, 1, 2, 3, 4, 5, 6), 0, 60)),
        (Freeze("2026-12-20", "2026-12-20", "a day"), Freeze("2026-12-24T18:00", "2027-01-03")),
    )


def test_without_the_sections_nothing_is_closed_and_nobody_told(tmp_path: Path) -> None:
    policy = load(tmp_path, "gates: {}\n")
    assert policy.windows == WindowsSpec()
    assert policy.notify == ()
    assert policy.warnings == ()


def test_windows_that_close_nothing_are_warned_about(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, "gates: {}\nwindows: {timezone: UTC}\n").warnings
    assert "nothing is closed by this" in warning


def test_places_are_read_in_order(tmp_path: Path) -> None:
    text = {
        "gates": {},
        "notify": {
            "releases": {"slack": "env:SLACK_WEBHOOK"},
            "audit": {"webhook": "file:hook", "secret": "env:HOOK_SECRET", "events": ["*"]},
            "oncall": {"teams": "env:T", "events": ["gate.failed", "rollout.paused"]},
            "mail": {"apprise": "env:A"},
        },
    }
    policy = load(tmp_path, "".join(f"{key}: {json.dumps(value)}\n" for key, value in text.items()))
    assert policy.notify == (
        NotifySpec("releases", NotifyKind.SLACK, "env:SLACK_WEBHOOK"),
        NotifySpec("audit", NotifyKind.WEBHOOK, "file:hook", "env:HOOK_SECRET", ("*",)),
        NotifySpec("oncall", NotifyKind.TEAMS, "env:T", events=("gate.failed", "rollout.paused")),
        NotifySpec("mail", NotifyKind.APPRISE, "env:A"),
    )
    assert policy.warnings == ()


def test_an_event_that_nobody_knows_is_warned_about(tmp_path: Path) -> None:
    text = "gates: {}\nnotify: {a: {slack: 'env:A', events: [rollout.puased, 'rollout.p*', 'x.*']}}\n"
    first, second = load(tmp_path, text).warnings
    assert "no event is called 'rollout.puased' (did you mean 'rollout.paused'?)" in first
    assert "no event is called 'x.*' (" in second


def test_the_events_are_those_that_there_are_messages_for() -> None:
    assert set(EVENTS) == set(KINDS)
