"""``otagate gate eval``: judge metrics, show the evidence, end by the verdict. Reads; changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otagate._clock import from_text, to_text
from otagate._text import harmless, nearest
from otagate.cli.commands._open import channel_of, open_policy, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.gates import gate_eval_view
from otagate.errors import ExitCode, UsageError
from otagate.gate.evidence import evidence
from otagate.gate.interface import Measurement
from otagate.gate.judge import GateResult, Look, LookKind, Reading, Verdict, combine, count_gating, judge
from otagate.gate.measure import Subject, measure
from otagate.gate.sources.registry import open_sources
from otagate.model import FULL_WEIGHT, ChannelName, Version
from otagate.policy import find_policy, values
from otagate.policy.model import GateSpec, Judgement
from otagate.rollout.machine import look_kind
from otagate.rollout.state import RolloutState

HELP = "judge metrics and show the evidence"
_LOOKS = {"planned": LookKind.PHASE_END, "interim": LookKind.INTERIM}
_DEFAULT_SINCE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Case:
    """What is to be judged: readings are there already, or come from sources."""

    gates: tuple[GateSpec, ...]
    """All of them: the error budgets are split over every gate, also when only one is shown."""
    judgement: Judgement
    look: Look
    subject: Subject | None = None
    readings: tuple[Reading, ...] = ()
    only: str | None = None

    @property
    def shown(self) -> tuple[GateSpec, ...]:
        return tuple(gate for gate in self.gates if self.only in (None, gate.metric))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verb and its arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="eval")
    verb = verbs.add_parser("eval", help="judge the gates now; ends with 0 pass, 4 fail, 6 not decided")
    verb.add_argument("--channel", metavar="NAME", help="the channel to measure (default: that of the active rollout)")
    verb.add_argument("--release", metavar="VERSION", help="the release to measure (default: that of the active rollout)")
    verb.add_argument("--metric", metavar="NAME", help="only this gate (default: all)")
    verb.add_argument("--bad", metavar="N", type=int, help="judge this count of bad devices; needs --metric and --total")
    verb.add_argument("--total", metavar="N", type=int, help="judge this count of all devices; needs --metric and --bad")
    verb.add_argument("--over", metavar="TIME", help="with --bad and --total: which limit they are about, such as 45s")
    verb.add_argument("--look", choices=sorted(_LOOKS), help="planned: the look that may pass; interim: one in between")
    verb.add_argument("--since", metavar="TIME", help="beginning of the window: 6h, or an RFC 3339 instant (default: 24h)")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Judge.

    Raises:
        UsageError: The arguments do not fit together, or nothing says what to measure.
        PolicyError: The policy is not valid.
    """
    now = env.clock.now()
    by_hand = args.bad is not None or args.total is not None
    case = _by_hand(args, env, now) if by_hand else _from_sources(args, env, now)
    results = _judge(case, now)
    verdict = overall(results)
    summary = combine(results)
    data = {
        "verdict": verdict.value,
        "action": summary.action.value,
        "look": case.look.kind.value,
        "at": to_text(now),
        "app": case.subject.app if case.subject else None,
        "channel": case.subject.channel if case.subject else None,
        "release": case.subject.release if case.subject else None,
        "gates": [evidence(result) for result in results],
    }
    outputs = {"verdict": verdict.value}
    if case.subject:
        outputs |= {"channel": case.subject.channel, "version": case.subject.release}
    view = gate_eval_view(results, verdict, case.look.kind)
    return Result("otagate/gate/v1", data, view, exit_code(results), outputs)


def overall(results: Sequence[GateResult]) -> Verdict:
    """Give the one verdict for all gates: the worst of those that may stop a rollout, or of all when none may."""
    gating = [result for result in results if result.is_gating] or list(results)
    # A failing limit that only alerts does not speak for a gate whose stopping limits passed.
    return max((_word(result) for result in gating), key=lambda verdict: verdict.severity, default=Verdict.NO_DATA)


def exit_code(results: Sequence[GateResult]) -> ExitCode:
    """Give 0 for pass and warn, 4 when a rollout would pause or roll back, 6 for everything that is not decided."""
    if combine(results).action.stops:
        return ExitCode.GATE_FAILED
    verdict = overall(results)
    is_reported = verdict is Verdict.FAIL  # of gates that only alert, and of dry runs
    return ExitCode.DONE if verdict.lets_through or is_reported else ExitCode.INCONCLUSIVE


def _word(result: GateResult) -> Verdict:
    if not result.is_gating or result.action.stops:
        return result.verdict
    if not result.holds:
        return result.verdict if result.verdict.lets_through else Verdict.WARN
    held = [check.verdict for check in result.checks if not check.verdict.lets_through and check.verdict is not Verdict.FAIL]
    return max(held, key=lambda verdict: verdict.severity, default=result.verdict)


def _judge(case: _Case, now: datetime) -> tuple[GateResult, ...]:
    return tuple(
        judge(
            gate,
            case.readings,
            look=case.look,
            judgement=case.judgement,
            gating_metrics=count_gating(case.gates),
            now=now,
        )
        for gate in case.shown
    )


# --- counts from the command line -------------------------------------------------------------------------------------


def _by_hand(args: argparse.Namespace, env: CommandEnv, now: datetime) -> _Case:
    _check_counts(args)
    gates, judgement = _thresholds(args, env)
    gate = _named(gates, args.metric)
    over = _over(args, gate)
    start = now - _DEFAULT_SINCE if args.since is None else since(args.since, now)
    counts = Measurement(args.bad, args.total, None, "the command line")
    look = Look(_LOOKS[args.look or "planned"], start, now)
    if over is not None:
        gate = replace(gate, limits=tuple(limit for limit in gate.limits if limit.over == over))
        gates = tuple(gate if one.metric == gate.metric else one for one in gates)
    reading = Reading(gate.metric, start, now, counts, over)
    return _Case(gates, judgement, look, readings=(reading,), only=gate.metric)


def _check_counts(args: argparse.Namespace) -> None:
    if args.metric is None or args.bad is None or args.total is None:
        raise UsageError(
            "counts need a metric and both numbers",
            subject="otagate gate eval",
            expected="--metric NAME --bad N --total N",
            remedy="give all three, or none of --bad and --total to ask the policy's sources",
        )
    if not 0 <= args.bad <= args.total:
        raise UsageError(
            "these are no counts of devices",
            subject="otagate gate eval",
            expected="0 <= bad <= total",
            found=f"--bad {args.bad} --total {args.total}",
            remedy="--total counts all devices, also the bad ones",
        )
    if args.channel or args.release:
        raise UsageError(
            "counts from the command line are about no channel or release",
            subject="otagate gate eval",
            remedy="leave out --channel and --release, or --bad and --total",
        )


def _thresholds(args: argparse.Namespace, env: CommandEnv) -> tuple[tuple[GateSpec, ...], Judgement]:
    """Give the policy's gates, or the default ones where there is no policy."""
    if args.policy is None:
        try:
            find_policy(env.cwd)
        except UsageError:
            from otagate.policy.build import default_gates  # noqa: PLC0415 - only where there is no policy

            env.note("there is no policy here: judged by the default thresholds")
            return default_gates(), Judgement()
    policy = open_policy(args, env)
    return policy.gates, policy.judgement


def _over(args: argparse.Namespace, gate: GateSpec) -> timedelta | None:
    over = None if args.over is None else _duration("--over", args.over)
    limits = {limit.over for limit in gate.limits}
    if over not in (limits or {None}):
        raise UsageError(
            "these counts are about no limit of this gate" if over else "this gate has several limits",
            subject=f"gates.{gate.metric}",
            expected=" or ".join(f"--over {values_text(limit.over)}" for limit in gate.limits) or "no --over",
            found=args.over,
            remedy="say which limit the counts are about" if limits else "leave out --over",
        )
    return over


# --- counts from the policy's sources ---------------------------------------------------------------------------------


def _from_sources(args: argparse.Namespace, env: CommandEnv, now: datetime) -> _Case:
    if args.over is not None:
        raise UsageError("--over needs --bad and --total", subject="otagate gate eval", remedy="leave out --over")
    workspace = open_workspace(args, env)
    name = channel_of(args)
    state = _active(args, name, workspace.rollouts.holder(name) if name else _only_rollout(args, workspace))
    case = _of_rollout(args, state, now) if state else _of_release(args, workspace.policy, name, now)
    if args.metric is not None:
        case = replace(case, only=_named(case.gates, args.metric).metric)
    subject = case.subject
    if subject is None or not case.gates:
        raise UsageError("the policy has no gates", subject=workspace.policy.file.name, remedy="add `gates` to the policy")
    sources = open_sources(case.shown, root=workspace.policy.root, environ=env.environ)
    readings = measure(case.shown, sources, subject, settle=case.judgement.settle, now=now)
    return replace(case, readings=tuple(readings))
