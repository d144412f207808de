"""``otagate rehearse``: run the policy against virtual devices, with faults, before any phone meets them."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._clock import from_text
from otagate._fs import atomic_write, translate
from otagate._text import harmless
from otagate.cli.commands._open import open_policy
from otagate.cli.commands._out import output_path
from otagate.cli.commands._rehearsed_fleet import DEVICES, SESSIONS, fleet_of, share_of, too_few, within
from otagate.cli.output import CommandEnv, Result
from otagate.errors import ExitCode, UsageError
from otagate.policy.meant import meant
from otagate.policy.values import span as length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otagate.flow.rehearse.model import Rehearsed, Scenario
    from otagate.policy.model.gates import GateSpec
    from otagate.policy.model.policy import Policy

HELP = "see what a policy does with a bad release, on virtual phones: weeks in seconds"
_MOST_SEEDS = 100_000
_NO_SVG = frozenset({".gif", ".jpeg", ".jpg", ".pdf", ".png", ".webp"})
_MOST_SILENT = 6
"""Sentences about what plugins do not tell: a fleet from telemetry has many versions."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument(
        "--fault",
        metavar="NAME=VALUE",
        action="append",
        help="what goes wrong, may be repeated: boot_crash=3%%, late_crash=5%%@24h, integrity=2%%, network=32%%, "
        "metric_outage=8h@30h, reconcile_down=48h@20h, reconcilers=6, restart=20%% (default: nothing)",
    )
    text = "how the release does on a metric that telemetry does not know, may be repeated: checkout_errors=2%%"
    parser.add_argument("--assume", metavar="METRIC=RATE", action="append", help=text)
    parser.add_argument("--track", metavar="NAME", help="which track (default: that of the first branch rule)")
    _configure_fleet(parser)
    group = parser.add_argument_group("how it goes")
    group.add_argument("--every", metavar="D", default="30m", help="time between two reconciles (default: 30m)")
    group.add_argument("--approve-after", metavar="D", default="1h", help="approvals are given so late (default: 1h)")
    text = "pauses that no gate failed for, such as a source that was away, are lifted so late (default: never)"
    group.add_argument("--resume-after", metavar="D", help=text)
    group.add_argument("--start", metavar="TIME", help="when the rollout begins, RFC 3339 (default: the next full hour)")
    group.add_argument("--until", metavar="D", default="30d", help="end after so long at the latest (default: 30d)")
    group.add_argument("--seed", metavar="N", type=int, default=1, help="of all chance (default: 1)")
    group.add_argument("--seeds", metavar="N", type=int, default=1, help="rehearse so often, with one seed after the other")
    group.add_argument("--jobs", metavar="N", type=int, help="so many at once (default: one a processor)")
    group = parser.add_argument_group("what comes of it")
    group.add_argument("--chart", metavar="FILE", help="draw the first rehearsal as SVG")
    text = "end with 4 unless every rehearsal ended so: a gate stopped it, or it completed"
    group.add_argument("--expect", choices=("stopped", "completed"), help=text)


def _configure_fleet(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the fleet")
    group.add_argument("--devices", metavar="N", type=int, help=f"how many (default: {DEVICES})")
    group.add_argument(
        "--follow", metavar="CHANNEL=P", action="append", help="so many follow this channel (default: 20%% each but the last)"
    )
    group.add_argument(
        "--fleet-from", choices=("telemetry",), help="devices as the policy's telemetry knows them, opened when they are heard"
    )
    text = "when apps are opened: even, or most in the evening (default: as telemetry tells with --fleet-from; even)"
    group.add_argument("--arrivals", choices=("even", "daily"), help=text)
    text = f"sessions of a device a day (default: as telemetry tells with --fleet-from; {SESSIONS:g})"
    group.add_argument("--sessions", metavar="N", type=float, help=text)
    group.add_argument(
        "--crash-rate", metavar="P", default="0.3%", help="devices on which any release crashes (default: 0.3%%)"
    )
    group.add_argument(
        "--network-failures", metavar="P", default="5%", help="downloads of any release that fail on the way (default: 5%%)"
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Rehearse.

    Raises:
        UsageError: The arguments cannot be, or the extra is not installed.
        OtagateError: The policy or the telemetry cannot be read, or a rehearsal cannot be begun.
    """
    policy = open_policy(args, env, warn=True)
    check_server_extra()
    chart = _chart_path(args.chart, env) if args.chart else None
    from otagate.cli.render.rehearsal import rehearsal_data, rehearsal_view  # noqa: PLC0415 - only this verb pays for it
    from otagate.flow.rehearse.many import rehearse_many, summarise  # noqa: PLC0415 - likewise
    from otagate.flow.rehearse.stage import rehearsed_gates  # noqa: PLC0415 - likewise
    from otagate.policy.model.sources import TelemetrySpec  # noqa: PLC0415 - likewise

    scenario, notes = _scenario(args, env, policy)
    count = within("--seeds", args.seeds, _MOST_SEEDS)
    seeds = range(args.seed, args.seed + count)
    jobs = within("--jobs", args.jobs or os.cpu_count() or 1, 256)
    runs = rehearse_many(policy, scenario, seeds, jobs=jobs, on_done=lambda done: env.progress("rehearsals", done, count))
    gates, left_out = rehearsed_gates(policy, TelemetrySpec(), scenario.assumed)
    summary, absent = summarise(runs), [gate.metric for gate in left_out]
    notes += [*_silent(scenario, gates), *(too_few(policy, scenario, runs[0]) if count == 1 else [])]
    if chart is not None:
        _draw(chart, runs[0], scenario)
        notes.append(f"chart: {harmless(str(chart), 400)}")
    data = {**rehearsal_data(scenario, runs, summary, absent), "expected": args.expect, "notes": notes}
    code = ExitCode.GATE_FAILED if _is_unexpected(runs, args.expect) else ExitCode.DONE
    return Result("otagate/rehearsal/v1", data, rehearsal_view(scenario, runs, summary, absent, notes), code)


def _silent(scenario: Scenario, gates: Sequence[GateSpec]) -> list[str]:
    from otagate.flow.untold import untold  # noqa: PLC0415 - only this verb pays for it

    said = [text for version in scenario.plugins for text in untold(gates, version).values()]
    return said[:_MOST_SILENT] + ([f"and {len(said) - _MOST_SILENT} more of the kind"] if said[_MOST_SILENT:] else [])


def check_server_extra() -> None:
    """Refuse to begin without the packages of the update server.

    Raises:
        UsageError: They are not installed.
    """
    if importlib.util.find_spec("sqlalchemy") is None:
        raise UsageError("a part of otagate is not installed", "sqlalchemy", remedy="pip install 'otagate[server]'")


def _is_unexpected(runs: Sequence[Rehearsed], expected: str | None) -> bool:
    return expected is not None and any(run.ending.value != expected for run in runs)


def _chart_path(text: str, env: CommandEnv) -> Path:
    path = output_path(text, env)
    if path.suffix.lower() in _NO_SVG:
        found = harmless(path.name, 80)
        raise UsageError("charts are drawn as SVG", "--chart", expected="a file name that ends in .svg", found=found)
    if not os.access(path.parent, os.W_OK):  # said now, not when hours of rehearsals are lost for it
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise translate(denied, "the chart cannot be written", path)
    return path


def _draw(chart: Any, run: Rehearsed, scenario: Scenario) -> None:
    from otagate.cli.render.chart import svg  # noqa: PLC0415 - only with --chart
    from otagate.cli.render.rehearsal import fault_texts, verdict_line  # noqa: PLC0415 - likewise

    title = f"{', '.join(fault_texts(scenario)) or 'no fault'}: {verdict_line(run)}"
    try:
        atomic_write(chart, svg(run, title).encode())
    except OSError as error:
        raise translate(error, "the chart cannot be written", chart) from error


def _scenario(args: argparse.Namespace, env: CommandEnv, policy: Policy) -> tuple[Scenario, list[str]]:
    from otagate.flow.rehearse.assumed import read_assumed  # noqa: PLC0415 - only this verb pays for it
    from otagate.flow.rehearse.faults import read_faults  # noqa: PLC0415 - only this verb pays for it
    from otagate.flow.rehearse.model import Scenario  # noqa: PLC0415 - likewise
    from otagate.flow.rehearse.stage import find_track, rehearsed_gates  # noqa: PLC0415 - likewise
    from otagate.policy.model.sources import TelemetrySpec  # noqa: PLC0415 - likewise

    track = find_track(policy, args.track)
    fleet, notes = fleet_of(args, env, policy, track)
    scenario = Scenario(
        track=track,
        start=_start(args.start, env.clock.now()),
        faults=read_faults(args.fault or ()),
        assumed=read_assumed(args.assume or (), rehearsed_gates(policy, TelemetrySpec())[1]),
        crash_rate=share_of("--crash-rate", args.crash_rate),
        network_failures=share_of("--network-failures", args.network_failures),
        every=_time("--every", args.every),
        approve_after=_time("--approve-after", args.approve_after, least=timedelta(0)),
        resume_after=None if args.resume_after is None else _time("--resume-after", args.resume_after, least=timedelta(0)),
        until=_time("--until", args.until),
        **fleet,
    )
    return scenario, notes


def _start(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    try:
        return from_text(text)
    except ValueError as error:
        found = repr(harmless(text, 60))
        raise UsageError("this is not an instant", "--start", expected="such as 2027-01-04T09:00:00Z", found=found) from error


def _time(option: str, text: str, least: timedelta = timedelta(minutes=1)) -> timedelta:
    try:
        found = length(text)
    except ValueError as error:
        shown, remedy = repr(harmless(text, 40)), meant("span", text)
        raise UsageError("this is not a length of time", option, expected=str(error), found=shown, remedy=remedy) from error
    if found < least:
        raise UsageError("this is too short", option, expected="a minute at least", found=harmless(text, 40))
    return found
