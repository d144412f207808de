"""What the schema cannot say about branches and tracks."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from otagate._text import harmless, span
from otagate.errors import UsageError
from otagate.model import Weight
from otagate.policy import values
from otagate.policy.findings import Findings
from otagate.policy.globs import RefKind, covers, kind_of
from otagate.policy.problems import YamlPath

SHORT_SOAK = timedelta(hours=24)
"""Shorter soaks of phases that the public sees get a warning: the field's usual least soak."""
INTERNAL = "internal"
"""A phase or channel of this name is for the team only."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_CHANNEL_PLACEHOLDERS = {"number", "branch"}


def check_branches(findings: Findings) -> None:
    """Check each rule against the tracks, and the rules against each other."""
    earlier: list[str] = []
    for pattern, rule in findings.mapping("branches").items():
        path: YamlPath = ("branches", pattern)
        if isinstance(rule, dict):
            _check_track(findings, pattern, path)
            _check_channel(findings, pattern, path)
        above = next((other for other in earlier if covers(other, pattern)), None)
        if above is not None:
            findings.warn(
                path, f"this rule is never used: '{harmless(above, 60)}' above it matches the same", remedy="move it up"
            )
        earlier.append(pattern)


def _check_track(findings: Findings, pattern: str, path: YamlPath) -> None:
    track, start_at = findings.text(*path, "track"), findings.text(*path, "start_at")
    tracks = findings.mapping("tracks")
    if track is None:
        for key in ("start_at", "supersede"):
            if key in findings.mapping(*path):
                findings.error((*path, key), f"`{key}` goes with `track` only", remedy="remove it")
        return
    if track not in tracks:
        findings.unknown((*path, "track"), "there is no such track", track, list(tracks))
        return
    phases = [phase.get("phase") for phase in findings.items("tracks", track) if isinstance(phase, dict)]
    if start_at is not None and start_at not in phases:
        findings.unknown((*path, "start_at"), f"track '{harmless(track, 60)}' has no such phase", start_at, phases)
    if kind_of(pattern) is RefKind.PULL:
        findings.warn(path, "pull requests ship through a whole track", remedy="give them a channel such as pr-{number}")


def _check_channel(findings: Findings, pattern: str, path: YamlPath) -> None:
    path = (*path, "channel")
    channel = findings.text(*path)
    if channel is None:
        return
    names = _PLACEHOLDER.findall(channel)
    sample = _PLACEHOLDER.sub("x", channel)
    if set(names) - _CHANNEL_PLACEHOLDERS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", sample, re.ASCII):
        expected = "1 to 64 letters, digits, '.', '_' and '-', with {number} or {branch} where needed"
        findings.error(path, "this is not a channel name", expected=expected, found=f"'{harmless(channel, 60)}'")
        return
    kind = kind_of(pattern)
    if "number" in names and kind is not RefKind.PULL:
        findings.error(path, "{number} is known for pull requests only", remedy="use it in a rule for pulls/*")
    if "branch" in names and kind is RefKind.TAG:
        findings.error(path, "{branch} is not known for tags", remedy="name a channel")
    if kind is RefKind.PULL and channel == "{branch}":
        # Whoever opens a pull request chooses its branch's name, and would so choose the channel.
        findings.error(path, "a pull request's branch may not name the whole channel", remedy="write such as pr-{branch}")


def check_tracks(findings: Findings) -> None:
    """Check phases and weights of each track, and that each track is used."""
    used = [findings.text("branches", pattern, "track") for pattern in findings.mapping("branches")]
    for track in findings.mapping("tracks"):
        if track not in used:
            findings.warn(("tracks", track), "no branch ships through this track")
        names: list[Any] = []
        for index, phase in enumerate(findings.items("tracks", track)):
            path: YamlPath = ("tracks", track, index)
            if isinstance(phase, dict):
                _check_phase(findings, phase, path, names)
                names.append(phase.get("phase"))


def _check_phase(findings: Findings, phase: dict[str, Any], path: YamlPath, earlier: list[Any]) -> None:
    name = phase.get("phase")
    if isinstance(name, str) and name in earlier:
        findings.error((*path, "phase"), "two phases of this track have the same name", found=f"'{harmless(name, 60)}'")
    _check_weights(findings, phase.get("weights"), (*path, "weights"))
    _check_holdout(findings, phase, (*path, "holdout"))
    soak = values.length_of(phase.get("soak", "24h"))
    is_internal = INTERNAL in (name, phase.get("channel"))
    if soak is not None and soak < SHORT_SOAK and not is_internal and phase.get("allow_short_soak") is not True:
        remedy = "say `allow_short_soak: true` if that is meant"
        findings.warn(
            (*path, "soak"), f"a soak of {span(soak)} is short for devices of the public; 24h is usual", remedy=remedy
        )


def _check_holdout(findings: Findings, phase: dict[str, Any], path: YamlPath) -> None:
    """The hold-out takes from what the last weight adds, and leaves something of it."""
    holdout = _weight(phase.get("holdout"))
    weights = phase.get("weights", ["100%"])
    before = _weight(weights[-2]) if isinstance(weights, list) and len(weights) > 1 else Weight(0)
    if holdout is None or before is None:
        return  # the schema reports it
    room = Weight(10_000).bps - before.bps
    if holdout.bps >= room > 0:
        what = "the hold-out leaves nothing that the last weight could add"
        findings.error(path, what, expected=f"less than {Weight(room)}", found=str(holdout))


def _weight(text: object) -> Weight | None:
    try:
        return Weight.parse(text) if isinstance(text, str) else None
    except UsageError:
        return None  # the schema reports it


def _check_weights(findings: Findings, weights: object, path: YamlPath) -> None:
    if not isinstance(weights, list) or not weights:
        return
    before = Weight(0)
    for index, text in enumerate(weights):
        weight = _weight(text)
        if weight is None:
            return
        if weight <= before:
            findings.error((*path, index), "weights must rise", expected=f"more than {before}", found=str(weight))
        before = weight
    if not before.is_full:
        findings.error((*path, len(weights) - 1), "the last weight must be 100%", found=str(before), remedy="add 100%")
