"""What the schema cannot say about `server`, `telemetry` and the gates whose counts come from there."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from otagate._text import harmless, nearest, span
from otagate.errors import UsageError
from otagate.policy.defaults import gates_of, is_counted
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath, secret_text
from otagate.policy.values import length_of
from otagate.telemetry.metrics import ADOPTION, ADOPTION_AGE, DEVICE_SUCCESS, METRICS, VERIFICATION_TIME, check_over

_COMPLETION = "rollout_completion"
_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?(?:/.*)?", re.ASCII)
_PASSWORD = re.compile(r"://[^/?#]*:[^/?#]+@|[?&][a-z_]*password=", re.IGNORECASE)


def counted_as(name: str, gate: dict[str, Any], *, has_telemetry: bool) -> str | None:
    """Give the metric of telemetry that a gate, in the policy's words, is counted by, or None when it has another source."""
    source = gate.get("source")
    if source is None:
        return name if has_telemetry and is_counted(name, gate) else None
    given = source.get("telemetry") if isinstance(source, dict) else None
    metric = given.get("metric", name) if isinstance(given, dict) else None
    return metric if isinstance(metric, str) else None


def check_server(findings: Findings) -> None:
    """Warn of channels that nothing ships to: most often a word that is spelled in another way elsewhere."""
    known = _channels(findings)
    named: list[tuple[YamlPath, str]] = [
        (("server", "channels", name), name) for name in findings.mapping("server", "channels")
    ]
    default = findings.text("server", "default_channel")
    if default is not None:
        named.insert(0, (("server", "default_channel"), default))
    for path, name in named:
        if not any(pattern.fullmatch(name) for pattern in known.values()):
            near = nearest(name, known)
            findings.warn(
                path,
                f"no track and no branch ships to the channel '{harmless(name, 64)}'",
                remedy=f"did you mean '{harmless(near, 64)}'?" if near else "",
            )


def _channels(findings: Findings) -> dict[str, re.Pattern[str]]:
    """Give every channel that the policy ships to, as text and as a pattern: `pr-{number}` stands for many."""
    texts = [findings.text("branches", pattern, "channel") for pattern in findings.mapping("branches")]
    for track in findings.mapping("tracks"):
        phases = [phase for phase in findings.items("tracks", track) if isinstance(phase, dict)]
        texts += [phase["channel"] for phase in phases if isinstance(phase.get("channel"), str)]
    return {text: re.compile(".+".join(map(re.escape, re.split(r"\{[^{}]*\}", text)))) for text in texts if text}


def check_telemetry(findings: Findings) -> None:
    """Check what goes with what, and that no password or token goes where others read it."""
    given = findings.mapping("telemetry")
    server, database = findings.text("telemetry", "server"), findings.text("telemetry", "database")
    if "token" in given and "server" not in given:
        findings.error(("telemetry", "token"), "`token` goes with `server`", remedy="remove it")
    if server is not None and server.startswith("http://") and not _LOOPBACK.fullmatch(server):
        findings.warn(("telemetry", "server"), "the token goes through the network unencrypted", remedy="write https://")
    if database is not None and not database.startswith(("env:", "file:")) and _PASSWORD.search(database):
        findings.error(
            ("telemetry", "database"),
            "a password stands in an address",
            found=secret_text(database),
            remedy="put the whole address into a CI secret or a file and write `env:NAME` or `file:PATH`;"
            " if this was committed, change the password",
        )


def check_counted(findings: Findings) -> None:
    """Check gates whose counts come from telemetry: only what it counts can be judged, and only when it is known."""
    if "telemetry" in findings.mapping("metrics"):
        remedy = "remove `metrics`: gates whose metric telemetry knows have this source by themselves"
        findings.error(("metrics", "telemetry"), "`telemetry` is a source of single gates", remedy=remedy)
    has_telemetry = findings.at(("telemetry",)) is not None
    for name, gate in gates_of(findings).items():
        metric = counted_as(name, gate, has_telemetry=has_telemetry)
        if metric is not None:
            _check_counted(findings, name, gate, metric, has_telemetry=has_telemetry)


def _check_counted(findings: Findings, name: str, gate: dict[str, Any], metric: str, *, has_telemetry: bool) -> None:
    path: YamlPath = ("gates", name)
    if not has_telemetry:
        findings.error((*path, "source"), "nothing says where telemetry is", remedy="write `telemetry:` with `server`")
        return
    if "split" in gate:
        _check_split(findings, path, gate)
        return
    if metric not in METRICS:
        if metric != name:
            return  # the schema reports it
        near = nearest(metric, METRICS)
        findings.error(
            (*path, "source", "telemetry"),
            "telemetry does not know this metric",
            expected=f"`metric` with one of {', '.join(METRICS)}",
            found=f"'{harmless(metric, 64)}'",
            remedy=f"did you mean '{near}'?" if near else None,
        )
        return
    if (metric == VERIFICATION_TIME) != ("limits" in gate):
        expected = "`limits`" if metric == VERIFICATION_TIME else "`max`, `min` or `max_increase`"
        findings.error(path, f"telemetry's {metric} has another kind of threshold", expected=expected)
    elif metric == VERIFICATION_TIME:
        _check_limits(findings, path, gate, metric)
    if metric != DEVICE_SUCCESS and isinstance(findings.at((*path, "source", "telemetry", "failures")), list):
        place = (*path, "source", "telemetry", "failures")
        findings.error(place, f"`failures` goes with {DEVICE_SUCCESS} only", found=metric, remedy="remove it")
    _check_age(findings, path, gate, metric)


def _check_split(findings: Findings, path: YamlPath, gate: dict[str, Any]) -> None:
    if gate["split"] == "equal":
        what = "telemetry counts who runs a release, not who was chosen for it"
        findings.error((*path, "split"), what, expected="at_most", found="equal", remedy="write `split: at_most`")
    for key in ("metric", "failures"):
        if key in findings.mapping(*path, "source", "telemetry"):
            findings.error((*path, "source", "telemetry", key), f"`{key}` does not go with `split`", remedy="remove it")


def _check_limits(findings: Findings, path: YamlPath, gate: dict[str, Any], metric: str) -> None:
    limits = gate["limits"] if isinstance(gate["limits"], list) else []
    for index, limit in enumerate(limits):
        over = length_of(limit.get("over")) if isinstance(limit, dict) else None
        if not over:
            continue  # the schema reports it
        try:
            check_over(metric, over)
        except UsageError as error:
            findings.error((*path, "limits", index, "over"), error.what, expected=error.expected, found=span(over))


def _check_age(findings: Findings, path: YamlPath, gate: dict[str, Any], metric: str) -> None:
    maturity = length_of(gate.get("maturity", "0s"))
    if maturity is None or gate.get("dry_run"):
        return
    if metric == ADOPTION and maturity < ADOPTION_AGE:
        findings.error(
            (*path, "maturity"),
            "younger devices would count as if they had not adopted the release",
            expected=f"at least {span(ADOPTION_AGE)}",
            found=span(maturity),
        )
    if metric == _COMPLETION and maturity == timedelta(0):
        findings.warn(
            (*path, "maturity"),
            "devices that are still on their way count as if they had failed",
            remedy="write `maturity: 6h`",
        )
