"""What the schema cannot say about `windows` and `notify`."""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from otagate._text import harmless, nearest
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath

EVENTS = (
    "channel.paused",
    "channel.promoted",
    "channel.resumed",
    "channel.rolled_back",
    "gate.failed",
    "notify.failed",
    "notify.test",
    "release.pruned",
    "release.published",
    "rollout.aborted",
    "rollout.advanced",
    "rollout.amended",
    "rollout.approved",
    "rollout.awaiting_approval",
    "rollout.completed",
    "rollout.lowered",
    "rollout.paused",
    "rollout.resumed",
    "rollout.rolled_back",
    "rollout.started",
    "rollout.superseded",
    "rollout.taken_back",
)
"""Events that are known by name; a glob that matches none of them is most often a slip of the keyboard."""

_YEARS = range(2000, 2200)
_MACHINES_OWN = ("localtime", "posix", "right")
"""What some systems keep beside the IANA names: another zone, or another way to count, on every machine."""


def check_windows(findings: Findings) -> None:
    """Check the time zone, that each window and freeze ends after it begins, and that its days are in the calendar."""
    _check_zone(findings)
    given = findings.mapping("windows")
    if given and not given.get("allow") and not given.get("freeze"):
        findings.warn(("windows",), "nothing is closed by this", remedy="write `allow` or `freeze`")
    for index, window in enumerate(findings.items("windows", "allow")):
        if isinstance(window, dict):
            _check_window(findings, ("windows", "allow", index))
    for index, freeze in enumerate(findings.items("windows", "freeze")):
        if isinstance(freeze, dict):
            _check_freeze(findings, ("windows", "freeze", index))


def _check_zone(findings: Findings) -> None:
    name = findings.text("windows", "timezone")
    if not name:
        return
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - only for policies with windows

    try:
        ZoneInfo(name)
        is_known = name.split("/")[0] not in _MACHINES_OWN
    except (KeyError, ValueError, OSError):  # a folder's name is an OSError
        is_known = False
    if not is_known:
        zones = sorted(available_timezones())
        findings.unknown(
            ("windows", "timezone"), "there is no such time zone", name, zones, expected="a name such as Europe/Berlin"
        )


def _check_window(findings: Findings, path: YamlPath) -> None:
    begins, ends = findings.text(*path, "from") or "00:00", findings.text(*path, "to") or "24:00"
    # Both have two digits each, so that texts compare as times do; the schema reports others.
    if len(begins) == len(ends) and begins >= ends:
        remedy = "over midnight, write two windows: one to 24:00, and one from 00:00 on the next days"
        findings.error(
            (*path, "to"),
            "a window ends on the day it begins",
            expected=f"after {begins}",
            found=harmless(ends, 20),
            remedy=remedy,
        )


def _check_freeze(findings: Findings, path: YamlPath) -> None:
    begins, ends = _moment(findings, (*path, "from")), _moment(findings, (*path, "to"), is_end=True)
    if begins is not None and ends is not None and begins >= ends:
        findings.error(
            (*path, "to"),
            "a freeze ends after it begins",
            expected=f"after {findings.text(*path, 'from')}",
            found=findings.text(*path, "to"),
        )


def _moment(findings: Findings, path: YamlPath, *, is_end: bool = False) -> datetime | None:
    text = findings.text(*path)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or moment.year not in _YEARS:
        findings.error(
            path,
            "this is no day or local time",
            expected="such as 2026-12-20 or 2026-12-20T18:00",
            found=f"'{harmless(text, 40)}'",
        )
        return None
    return moment + timedelta(days=1) if is_end and "T" not in text else moment


def check_notify(findings: Findings) -> None:
    """Check that secrets stand where they sign, and that events are known."""
    for name, notice in findings.mapping("notify").items():
        if not isinstance(notice, dict):
            continue
        path: YamlPath = ("notify", name)
        if "secret" in notice and "webhook" not in notice:
            findings.error((*path, "secret"), "`secret` goes with `webhook` only", remedy="remove it")
        for index, glob in enumerate(findings.items(*path, "events")):
            if isinstance(glob, str) and not any(fnmatchcase(event, glob) for event in EVENTS):
                near = nearest(glob, EVENTS)
                remedy = f"did you mean '{near}'?" if near else f"events: {', '.join(EVENTS)}"
                findings.warn((*path, "events", index), f"no event is called '{harmless(glob, 64)}'", remedy=remedy)
