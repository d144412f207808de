"""``otagate gate eval|power|replay``: judge metrics, show the evidence, end by the verdict. Reads; changes nothing."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from otagate._clock import from_text, to_text
from otagate._text import harmless
from otagate.cli.commands._gate_power import add_power, run_power
from otagate.cli.commands._gate_replay import add_replay, run_replay
from otagate.cli.commands._junit import add_junit, write_junit
from otagate.cli.commands._open import channel_of, open_policy, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.errors import KeyMaterialError, NotFoundError, UsageError
from otagate.gate.judge import Look, LookKind
from otagate.model import ChannelName, Version
from otagate.policy.model.gates import GateSpec, Judgement

if TYPE_CHECKING:
    from otagate.flow.judging import Case
    from otagate.flow.workspace import Workspace

HELP = "judge metrics and show the evidence"
_LOOKS = {"planned": LookKind.PHASE_END, "interim": LookKind.INTERIM}
_DEFAULT_WINDOW = timedelta(hours=24)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verb and its arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="eval|power|replay")
    verb = verbs.add_parser("eval", help="judge the gates now; ends with 0 pass, 4 fail, 6 not decided")
    verb.add_argument("--channel", metavar="NAME", help="the channel to measure (default: that of the active rollout)")
    verb.add_argument("--release", metavar="VERSION", help="the release to measure (default: that of the active rollout)")
    verb.add_argument("--metric", metavar="NAME", help="only this gate (default: all)")
    verb.add_argument("--bad", metavar="N", type=int, help="judge this count of bad devices; with --metric and --total")
    verb.add_argument("--total", metavar="N", type=int, help="judge this count of all devices; with --metric and --bad")
    verb.add_argument("--over", metavar="TIME", help="with --bad and --total: which limit they are about, such as 45s")
    verb.add_argument(
        "--look",
        choices=sorted(_LOOKS),
        help="planned: the look that may pass; interim: one in between (default: what the rollout's next reconcile"
        " would do; without a rollout planned)",
    )
    verb.add_argument("--since", metavar="TIME", help="beginning of the window: 6h, or an RFC 3339 instant (default: 24h)")
    add_junit(verb)
    add_power(verbs)
    add_replay(verbs)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Judge.

    Raises:
        UsageError: The arguments do not fit together, or nothing says what to measure.
        PolicyError: The policy is not valid.
    """
    if args.action == "power":
        return run_power(args, *_thresholds(args, env))
    if args.action == "replay":
        return run_replay(args, env)
    # Only a verb that judges pays for what judging needs.
    from otagate.cli.render.gates import gate_eval_view  # noqa: PLC0415 - see above
    from otagate.flow.judging import exit_code  # noqa: PLC0415 - see above
    from otagate.gate.evidence import evidence  # noqa: PLC0415 - see above
    from otagate.gate.judge import combine  # noqa: PLC0415 - see above
    from otagate.gate.summary import is_lifted, overall  # noqa: PLC0415 - see above

    now = env.clock.now()
    is_by_hand = args.bad is not None or args.total is not None
    case = _from_counts(args, env, now) if is_by_hand else _from_sources(args, env, now)
    results = case.judged(now)
    acting = [result for result in results if not is_lifted(result, case.waived)]
    verdict, summary, subject = overall(results, case.waived), combine(acting), case.subject
    named = {"channel": subject.channel, "release": subject.release} if subject else {}
    data = {
        "verdict": verdict.value,
        "action": summary.action.value,
        "look": case.look.kind.value,
        "at": to_text(now),
        "channel": None,
        "release": None,
        **named,
        "waived": sorted(case.waived),
        "next_look": to_text(case.next_look) if case.next_look else None,
        "gates": [evidence(result) for result in results],
    }
    suite = f"{named.get('channel', 'counts')} {named.get('release', '')}".strip()
    write_junit(args, env, {suite: results}, {suite: case.waived})
    outputs = {"verdict": verdict.value}
    if subject:
        outputs |= {"channel": subject.channel, "version": subject.release}
    looked = "interim" if case.look.kind is LookKind.INTERIM else "planned"
    due = f"{case.next_look:%Y-%m-%d %H:%M:%S} UTC" if case.next_look else ""
    view = gate_eval_view(results, verdict, [*named.items(), ("look", looked), ("next look", due)], case.waived)
    return Result("otagate/gate/v1", data, view, exit_code(results, case.waived), outputs)


def _from_counts(args: argparse.Namespace, env: CommandEnv, now: datetime) -> Case:
    from otagate.flow.judging import of_counts  # noqa: PLC0415 - see run

    _check_counts(args)
    gates, judgement = _thresholds(args, env)
    over = None if args.over is None else _length("--over", args.over)
    counts = (args.bad, args.total)
    return of_counts(gates, judgement, metric=args.metric, counts=counts, over=over, look=_look(args, now))


def _check_counts(args: argparse.Namespace) -> None:
    if args.metric is None or args.bad is None or args.total is None:
        raise UsageError(
            "counts need a metric and both numbers",
            subject="otagate gate eval",
            expected="--metric NAME --bad N --total N",
            remedy="give all three, or neither --bad nor --total to ask the policy's sources",
        )
    if not 0 <= args.bad <= args.total:
        raise UsageError(
            "these are no counts of devices",
            subject="otagate gate eval",
            expected="0 <= bad <= total",
            found=f"--bad {args.bad} --total {args.total}",
            remedy="--total counts all devices, the bad ones too",
        )
    if args.channel or args.release:
        raise UsageError(
            "counts from the command line are about no channel or release",
            subject="otagate gate eval",
            remedy="leave out --channel and --release, or --bad and --total",
        )


def _thresholds(args: argparse.Namespace, env: CommandEnv) -> tuple[tuple[GateSpec, ...], Judgement]:
    """Give the policy's gates, or the default ones where there is no policy."""
    from otagate.policy import find_policy  # noqa: PLC0415 - see run
    from otagate.policy.build import default_gates  # noqa: PLC0415 - see run

    if args.policy is None:
        try:
            find_policy(env.cwd)
        except UsageError as error:
            env.note(f"{error.what}: judged by the default thresholds")
            return default_gates(), Judgement()
    policy = open_policy(args, env)
    return policy.gates, policy.judgement


def _from_sources(args: argparse.Namespace, env: CommandEnv, now: datetime) -> Case:
    from otagate.flow.judging import of_release, of_rollout, read_sources  # noqa: PLC0415 - see run
    from otagate.flow.select import active_rollout  # noqa: PLC0415 - see run

    if args.over is not None:
        raise UsageError("--over goes with --bad and --total", subject="otagate gate eval", remedy="leave out --over")
    workspace = open_workspace(args, env)
    channel = channel_of(args)
    release = Version(args.release) if args.release else None
    held = active_rollout(workspace, channel)
    if held is None and channel is not None:
        _warn_of_misspelling(workspace, channel, env)
    if held is not None and release in (None, held.state.release.version):
        case = of_rollout(held.state, now, _LOOKS.get(args.look))
        if args.since is not None:
            case = case.starting(_start(args.since, now))
    elif channel is None or release is None:
        raise UsageError(
            "no rollout is active here, so a channel and a release must be named",
            subject="otagate gate eval",
            expected="--channel NAME --release VERSION",
            remedy="name both, or give counts: --metric NAME --bad N --total N",
        )
    else:
        case = of_release(workspace, channel, release, _look(args, now))
    return read_sources(case, workspace, now, only=args.metric)


def _warn_of_misspelling(workspace: Workspace, channel: ChannelName, env: CommandEnv) -> None:
    """Sources may know a channel that is not in the policy; silence about a misspelt one must not puzzle anybody."""
    from otagate.flow.select import check_channel  # noqa: PLC0415 - see run

    try:
        check_channel(workspace, channel)
    except NotFoundError as error:
        env.warn(f"{error.what}: {error.subject}" + (f"; {error.remedy}" if error.remedy else ""))
    except KeyMaterialError:
        return  # the policy trusts no key yet, so that no channel of the store can be read: metrics can be tried all the same


def _look(args: argparse.Namespace, now: datetime) -> Look:
    start = now - _DEFAULT_WINDOW if args.since is None else _start(args.since, now)
    return Look(_LOOKS[args.look or "planned"], start, now)


def _start(text: str, now: datetime) -> datetime:
    try:
        start = from_text(text)
    except ValueError:
        start = now - _length("--since", text, " or an instant such as 2026-11-21T09:30:00Z")
    if start >= now:
        raise UsageError("a window must begin before now", subject="--since", found=f"'{harmless(text, 80)}'")
    return start


def _length(option: str, text: str, other: str = "") -> timedelta:
    from otagate.policy import values  # noqa: PLC0415 - see run

    try:
        return values.duration(text)
    except ValueError as error:
        raise UsageError(
            f"{option} is no length of time", subject=option, expected=f"{error}{other}", found=f"'{harmless(text, 80)}'"
        ) from error
