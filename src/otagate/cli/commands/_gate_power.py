"""``otagate gate power``: what thresholds can see with so many devices. Computes; reads nothing but the policy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from otagate._text import harmless, nearest
from otagate.cli.output import Result
from otagate.errors import UsageError
from otagate.gate.judge import count_gating
from otagate.policy.model.gates import GateSpec, Judgement

if TYPE_CHECKING:
    from otagate.gate.forecast import Forecast

_HOURS = 24
_MOST_LOOKS = 24 * 366


def add_power(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-verb."""
    verb = verbs.add_parser("power", help="say what the thresholds can see with so many devices, and how long it takes")
    verb.add_argument("--metric", metavar="NAME", help="only this gate (default: all that limit a share of devices)")
    verb.add_argument("--limit", metavar="SHARE", help="try this limit on the share of bad devices, such as 2%%")
    verb.add_argument("--min-sample", metavar="N", type=int, help="try this many devices for the planned look")
    many = verb.add_mutually_exclusive_group()
    many.add_argument("--devices", metavar="N", type=int, help="so many by the planned look (default: what it needs)")
    many.add_argument("--per-hour", metavar="N", type=int, help="so many come every hour")
    verb.add_argument("--hours", metavar="H", type=int, default=_HOURS, help="the soak, with a look each hour (default: 24)")
    verb.add_argument(
        "--rate",
        metavar="SHARE",
        action="append",
        help="a release that is truly bad on this share of devices, such as 4%%; repeatable (default: a quarter to 15 times the"
        " limit)",
    )


def run_power(args: argparse.Namespace, gates: Sequence[GateSpec], judgement: Judgement) -> Result:
    """Compute.

    Args:
        args: The command line.
        gates: The policy's gates, or the default ones.
        judgement: How they are judged.

    Raises:
        UsageError: The arguments do not fit together, or the gate is not about a share of devices.
    """
    from otagate.cli.render.power import power_data, power_view  # noqa: PLC0415 - only this verb pays for it
    from otagate.gate.forecast import forecasts  # noqa: PLC0415 - likewise

    devices = _devices(args)
    rates = tuple(Fraction(_share("--rate", text)) for text in args.rate or ())
    parts = count_gating(gates)
    found: list[Forecast] = []
    for spec in _chosen(args, gates):
        found += forecasts(spec, judgement, parts, devices=devices, hours=args.hours, rates=rates)
    data: dict[str, Any] = {"hours": args.hours, "gating_metrics": parts, "limits": [power_data(one) for one in found]}
    return Result("otagate/power/v1", data, power_view(found))


def _chosen(args: argparse.Namespace, gates: Sequence[GateSpec]) -> list[GateSpec]:
    from otagate.gate.forecast import limits_a_share  # noqa: PLC0415 - only this verb pays for it

    named = [spec for spec in gates if args.metric in (None, spec.metric)]
    if args.metric is None and args.limit is not None:
        named = [GateSpec("limit", max=Decimal(0))]
    elif args.metric is not None and not named:
        names = [spec.metric for spec in gates]
        near = nearest(args.metric, names)
        raise UsageError(
            "there is no such gate",
            subject=harmless(args.metric, 80),
            expected=f"one of {', '.join(names)}" if names else "a policy with gates",
            remedy=f"did you mean {near}?" if near else None,
        )
    chosen = [_tried(spec, args) for spec in named if args.limit is not None or limits_a_share(spec)]
    if not chosen:
        raise UsageError(
            "this needs a limit on a share of devices",
            subject="otagate gate power",
            expected="a gate with `max`, `min` or `limits`",
            found="gates that compare something else" if named else "no gate",
            remedy="name a limit, such as --limit 2%",
        )
    return chosen


def _tried(spec: GateSpec, args: argparse.Namespace) -> GateSpec:
    """Give the gate with what the command line tries instead."""
    if args.limit is not None:
        limit = _share("--limit", args.limit)
        spec = GateSpec(spec.metric, max=limit, action=spec.action, min_sample=spec.min_sample, prove=spec.prove)
    if args.min_sample is not None:
        spec = replace(spec, min_sample=_count("--min-sample", args.min_sample))
    return spec


def _devices(args: argparse.Namespace) -> int | None:
    if not 1 <= args.hours <= _MOST_LOOKS:
        raise UsageError("this is no soak", subject="--hours", expected=f"1 to {_MOST_LOOKS}", found=str(args.hours))
    if args.per_hour is not None:
        return _count("--per-hour", args.per_hour, args.hours)
    return None if args.devices is None else _count("--devices", args.devices)


def _count(option: str, number: int, times: int = 1) -> int:
    from otagate.gate.power import MOST_DEVICES  # noqa: PLC0415 - only this verb pays for it

    if not 1 <= number * times <= MOST_DEVICES:
        most = f"1 to {MOST_DEVICES // times}"
        raise UsageError("that many devices are not computed", subject=option, expected=most, found=str(number))
    return number * times


def _share(option: str, text: str) -> Decimal:
    from otagate.policy import meant, values  # noqa: PLC0415 - only this verb pays for it

    try:
        return values.percent(text) if option == "--rate" else values.share(text)
    except ValueError as error:
        raise UsageError(
            "this is no share of devices",
            subject=option,
            expected=str(error),
            found=f"'{harmless(text, 80)}'",
            remedy=meant.meant("share", text),
        ) from error
