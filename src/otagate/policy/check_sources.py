"""What the schema cannot say about the sources of gates, and about which source fits which gate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from otagate._text import harmless, nearest
from otagate.policy.build_sources import ASKING
from otagate.policy.check_devices import counted_as
from otagate.policy.check_shapes import shape_of
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath

PLACEHOLDERS = (
    "metric",
    "app",
    "channel",
    "release",
    "start",
    "end",
    "start_unix",
    "end_unix",
    "start_ms",
    "end_ms",
    "window",
    "weight",
    "over",
)
"""Every placeholder of a source's texts, without its braces; otagate.gate.sources fills them."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_QUERIES = ("bad", "total", "value", "newest")
_COUNTING = ("sentry", "capgo")
"""Sources with a way of counting of their own."""
CAPGO_METRICS = ("device_success_rate", "crash_rate", "error_rate")
"""What otagate.gate.sources.capgo counts."""
_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?(?:/.*)?", re.ASCII)
_SECRETS = ("token", "api_key", "application_key")
_WEAK = ("alert", "pause")


def check_sources(findings: Findings) -> None:
    """Check each source as it is written: ``metrics``, and those of single gates."""
    for path in (("metrics",), *(("gates", name, "source") for name in findings.mapping("gates"))):
        _check_form(findings, path)
        _check_placeholders(findings, path)
        for kind in (*ASKING, *_COUNTING):
            if findings.mapping(*path, kind):
                _check_vendor(findings, (*path, kind), kind)


def check_fit(findings: Findings, gates: dict[str, dict[str, Any]]) -> None:
    """Check for each completed gate that its source, which may be ``metrics``, can answer what the gate asks."""
    for name, gate in gates.items():
        shape = shape_of(gate)
        found = _source_of(findings, name, gate)
        if shape is not None and found is not None:
            path, kind, source = found
            if path[:1] == ("metrics",) and findings.at(("gates", name)) is not None:
                path = ("gates", name)  # there it can be mended, or given a source of its own
            for what, remedy in _misfits(name, shape, kind, source, gate):
                findings.error(path, f"{what} (gate '{harmless(name, 64)}')", remedy=remedy)


def _source_of(findings: Findings, name: str, gate: dict[str, Any]) -> tuple[YamlPath, str, dict[str, Any]] | None:
    path: YamlPath = ("gates", name, "source")
    source = gate.get("source")
    if source is None:
        if counted_as(name, gate, has_telemetry=findings.at(("telemetry",)) is not None) is not None:
            return ("gates", name) if findings.at(("gates", name)) is not None else ("telemetry",), "telemetry", {}
        path, source = ("metrics",), findings.mapping("metrics")
    if not isinstance(source, dict):
        return None  # the schema reports it
    kinds = [key for key in ("file", "command", "http", "telemetry", *ASKING, *_COUNTING) if key in source]
    if len(kinds) != 1:
        return None  # the schema reports it
    given = source[kinds[0]]
    return path, kinds[0], given if isinstance(given, dict) else {}


def _misfits(name: str, shape: str, kind: str, source: dict[str, Any], gate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what does not fit, each with its remedy."""
    asks = kind == "http" or kind in ASKING
    if shape == "max_increase" and kind != "telemetry":
        yield "only telemetry counts the devices of two releases side by side", "write `telemetry:`, or `max` instead"
    elif shape == "value":
        if kind in {"telemetry", *_COUNTING}:
            yield f"`{kind}` counts, and has no plain number", "give the gate a source with `value`"
        elif asks and source and "value" not in source:
            yield "the gate judges a plain number, and its source has none", "write `value` in the source"
    elif asks and "value" in source and not {"bad", "total"} & set(source):
        yield "the gate judges counts of devices, and its source has only a `value`", "write `bad` and `total` in the source"
    if shape == "limits" and kind in _COUNTING:
        yield f"`{kind}` counts no lengths of time", "give the gate another source"
    elif shape == "limits" and kind in ASKING and isinstance(source.get("bad"), str) and "{over}" not in source["bad"]:
        yield "every limit would get the same counts", "write `{over}`, the limit in seconds, in `bad`"
    if shape == "split" and kind in _COUNTING:
        yield f"`{kind}` does not know the devices of a channel", "give the gate another source"
    elif kind == "capgo" and shape in {"max", "min"} and name not in CAPGO_METRICS:
        yield f"`capgo` counts for {', '.join(CAPGO_METRICS)} alone", "name the gate so, or give it another source"
    elif _counts_events(kind, source) and not _is_weak(gate):
        yield "events are not devices, so this source may pause at most", "write `action: pause` or `action: alert`"


def _counts_events(kind: str, source: dict[str, Any]) -> bool:
    return kind == "capgo" or (kind == "sentry" and source.get("unit") == "session")


def _is_weak(gate: dict[str, Any]) -> bool:
    """Tell whether nothing of a gate rolls back."""
    escalation, limits = gate.get("escalate"), gate.get("limits")
    acting = [gate, *([escalation] if isinstance(escalation, dict) else []), *(limits if isinstance(limits, list) else [])]
    return all(not isinstance(one, dict) or one.get("action", "pause") in _WEAK for one in acting)


def _check_form(findings: Findings, path: YamlPath) -> None:
    source = findings.mapping(*path)
    if "timeout" in source and "command" not in source:
        findings.error((*path, "timeout"), "`timeout` goes with `command`", remedy="write it inside `http` for http")
    http = findings.mapping(*path, "http")
    if "body" in http and http.get("method", "GET") != "POST":
        findings.error((*path, "http", "body"), "a body goes with POST", remedy="write `method: POST`")


def _check_placeholders(findings: Findings, path: YamlPath) -> None:
    for place, text in findings.texts():
        if place[: len(path)] != path or "headers" in place:
            continue
        for name in _PLACEHOLDER.findall(text):
            # Query languages have braces of their own: in them only what nearly is a placeholder is taken for one.
            is_query = place[-1] in _QUERIES and place[-2] != "http"
            if name not in PLACEHOLDERS and (not is_query or nearest(name, PLACEHOLDERS)):
                known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                findings.error(place, f"there is no placeholder {{{harmless(name, 40)}}}", expected=f"one of {known}")


def _check_vendor(findings: Findings, path: YamlPath, kind: str) -> None:
    given = findings.mapping(*path)
    if kind == "prometheus":
        _check_signing(findings, path, given)
    if kind == "sentry" and isinstance(given.get("release"), str) and "{release}" not in given["release"]:
        what = "these numbers would be those of another release"
        findings.error((*path, "release"), what, expected="a name that holds {release}", found=f"'{given['release'][:60]}'")
    for key in ("bad", "value"):
        text = findings.text(*path, key)
        if text is not None and "{release}" not in text:
            findings.warn((*path, key), "this query does not name `{release}`: it may judge the numbers of other releases")
    url = findings.text(*path, "url")
    is_signed = any(key in given for key in (*_SECRETS, "headers")) or given.get("auth", "none") != "none"
    if is_signed and url is not None and url.startswith("http://") and not _LOOPBACK.fullmatch(url):
        findings.warn((*path, "url"), "credentials go through the network unencrypted", remedy="write https://")


def _check_signing(findings: Findings, path: YamlPath, given: dict[str, Any]) -> None:
    auth = given.get("auth", "none")
    if auth == "aws" and "region" not in given:
        findings.error((*path, "auth"), "requests are signed for a region", expected="`region` beside it")
    if auth != "aws" and "region" in given:
        findings.error((*path, "region"), "`region` goes with `auth: aws`", remedy="remove it")
    names = {str(name).lower() for name in findings.mapping(*path, "headers")}
    if auth != "none" and "authorization" in names:
        findings.error((*path, "auth"), "requests are signed in two ways", remedy="remove `auth`, or the header")
