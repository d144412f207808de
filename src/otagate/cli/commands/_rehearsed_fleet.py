"""The fleet of a rehearsal, from the command line's words."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otagate._text import harmless
from otagate.cli.output import CommandEnv
from otagate.errors import UsageError
from otagate.flow.rehearse.usual import shares_of
from otagate.policy.values import percent

if TYPE_CHECKING:
    from otagate.flow.rehearse.model import Rehearsed, Scenario
    from otagate.policy.model.policy import Policy

DEVICES = 2000
"""When nothing else is said; of a larger fleet in telemetry so many are played."""
SESSIONS = 4.0
"""Of a device a day, when nothing else is said."""
PARTS = ("devices", "follows", "platforms", "plugins", "arrivals", "sessions")
"""Of a fleet; each may come from elsewhere."""
MOST_DEVICES = 1_000_000
"""That can be said of a fleet."""
_MOST_SESSIONS = 1000
_MOST_NAMES = 5


def fleet_of(args: argparse.Namespace, env: CommandEnv, policy: Policy, track: str) -> tuple[dict[str, Any], list[str]]:
    """Give what a scenario says of its fleet, with where each part was taken from, and what is to be said of it.

    Options win over telemetry, which wins over the policy.
    """
    channels = list(dict.fromkeys(str(phase.channel) for phase in policy.tracks[track].phases))
    seen, notes = _told(args, env, policy, track, channels)
    plugins = plugins_of(policy.plugin_version)
    layers: dict[str, dict[str, Any]] = {
        "default": {"devices": DEVICES, "follows": shares_of(channels), "sessions": SESSIONS, "arrivals": {}},
        "policy": {"plugins": plugins} if plugins else {},
        "telemetry": seen,
        "option": _options(args, channels),
    }
    found: dict[str, Any] = {}
    taken = dict.fromkeys(PARTS, "default")
    for name, layer in layers.items():
        found |= layer
        taken |= dict.fromkeys(layer, name)
    within("--devices", found["devices"], MOST_DEVICES)
    arrivals = found.pop("arrivals")
    return {**found, **arrivals, "taken": taken}, notes


def _options(args: argparse.Namespace, channels: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if args.devices is not None:
        found["devices"] = args.devices
    if args.follow:
        found["follows"] = follows_of(args.follow, channels)
    if args.arrivals is not None:
        found["arrivals"] = {"is_daily": args.arrivals == "daily"}
    if args.sessions is not None:
        if not 0 < args.sessions <= _MOST_SESSIONS:
            expected = f"above 0, {_MOST_SESSIONS} at most"
            raise UsageError("this number cannot be", "--sessions", expected=expected, found=str(args.sessions))
        found["sessions"] = args.sessions
    return found


def _told(
    args: argparse.Namespace, env: CommandEnv, policy: Policy, track: str, channels: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Give what telemetry tells of the fleet, when it is to be asked."""
    if args.fleet_from is None:
        return {}, []
    from otagate.flow.rehearse.observed import observe  # noqa: PLC0415 - only with --fleet-from

    seen = observe(policy, env.environ, env.clock.now(), policy.root, channels)
    if not seen.follows:
        missing = f"none of {', '.join(channels)}; devices follow {', '.join(map(harmless, seen.elsewhere))}"
        raise UsageError("telemetry knows no device on a channel of this track", track, found=missing)
    notes = [f"a fleet like that of {seen.devices} devices which telemetry saw on these channels within 7 days"]
    found: dict[str, Any] = {"follows": seen.follows, "platforms": _known(seen.platforms)}
    if seen.devices <= DEVICES:
        found["devices"] = seen.devices
    plugins, left_out = playable(seen.plugins)
    found |= {"plugins": plugins} if plugins else {}
    if left_out:
        names = ", ".join(harmless(name, 40) or "not told" for name in list(left_out)[:_MOST_NAMES])
        share = sum(left_out.values()) / sum(seen.plugins.values())
        notes.append(f"{100 * share:.3g}% have plugin versions that virtual devices cannot play, and are left out: {names}")
    if seen.habit is None:
        if args.arrivals is None or args.sessions is None:
            notes.append("telemetry has not counted for a whole day yet when devices are heard")
    else:
        found |= {"arrivals": {"hours": seen.habit.hours}, "sessions": seen.habit.sessions}
    return found, notes


def playable(plugins: Mapping[str, int]) -> tuple[dict[str, float], dict[str, int]]:
    """Give devices by the plugin versions that virtual devices can play, and by those that they cannot."""
    known = {version: float(devices) for version, devices in plugins.items() if plugins_of(version)}
    return known, {version: devices for version, devices in plugins.items() if version not in known}


def plugins_of(version: str | None) -> dict[str, float]:
    """Give the app's own plugin version when virtual devices know it."""
    if version is None:
        return {}
    from otagate.fleet.generations import generation  # noqa: PLC0415 - only this verb pays for it

    try:
        generation(version)
    except UsageError:
        return {}
    return {version: 1.0}


def follows_of(entries: Sequence[str], channels: Sequence[str]) -> dict[str, float]:
    """Read ``--follow``; the other channels share what is left as they would share everything."""
    found: dict[str, float] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        if name not in channels:
            expected = f"one of {', '.join(channels)}"
            raise UsageError("the track has no such channel", "--follow", expected=expected, found=repr(harmless(name, 60)))
        found[name] = share_of("--follow", value)
    left = 1 - sum(found.values())
    unnamed = [name for name in channels if name not in found]
    if left < 0 or (left > 0 and not unnamed):
        raise UsageError(
            "these shares do not add up", "--follow", expected="100% at most, and all of it when every channel is named"
        )
    rest = {name: part * left for name, part in shares_of(unnamed).items()} if unnamed else {}
    return {name: {**rest, **found}[name] for name in channels}


def _known(platforms: Mapping[str, float]) -> dict[str, float]:
    from otagate.fleet.config import PLATFORMS  # noqa: PLC0415 - only with --fleet-from

    return {name: devices for name, devices in platforms.items() if name in PLATFORMS} or {"android": 1.0}


def share_of(option: str, text: str) -> float:
    """Read a share such as ``3%``.

    Raises:
        UsageError: It is none.
    """
    try:
        return float(percent(text))
    except ValueError as error:
        raise UsageError("this is no share", option, expected=str(error), found=repr(harmless(text, 40))) from error


def within(option: str, value: int, most: int) -> int:
    """Give a number that is 1 or more, and not too large.

    Raises:
        UsageError: It is not.
    """
    if not 1 <= value <= most:
        raise UsageError("this number cannot be", option, expected=f"1 to {most}", found=str(value))
    return value


def too_few(policy: Policy, scenario: Scenario, run: Rehearsed) -> list[str]:
    """Say how many devices were too few: those of a channel that a weight reaches, and what the gates want."""
    stop = run.stop
    phase = next((one for one in policy.tracks[scenario.track].phases if stop is not None and one.name == stop.phase), None)
    if stop is None or phase is None or "too few devices" not in run.outcome:
        return []
    share = scenario.follows.get(str(phase.channel), 0.0) / (sum(scenario.follows.values()) or 1)
    reached = round(scenario.devices * share * float(percent(stop.weight)))
    wanted = [f"{gate.metric} wants {gate.min_sample}" for gate in policy.gates if gate.metric in run.outcome]
    return [f"{stop.weight} of {phase.channel} are about {reached} of these devices; {', '.join(wanted)}"]
