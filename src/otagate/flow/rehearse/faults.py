"""Reading faults as people write them: ``NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.flow.rehearse.model import FaultPlan, Outage
from otagate.policy.meant import meant
from otagate.policy.values import percent
from otagate.policy.values import span as length

MOST_RECONCILERS = 32
FAULTS = {
    "boot_crash": "3%",
    "late_crash": "5%@24h",
    "integrity": "2%",
    "network": "32%",
    "metric_outage": "8h@30h",
    "reconcile_down": "48h@20h",
    "reconcilers": "6",
    "restart": "20%",
}
"""Name -> an example of its value."""


def read_faults(texts: Iterable[str]) -> FaultPlan:
    """Read faults.

    Raises:
        UsageError: No such fault, one twice, or a value that cannot be.
    """
    plan, seen = FaultPlan(), set()
    for text in texts:
        name, sign, value = text.partition("=")
        if name not in FAULTS:
            near = nearest(name, FAULTS)
            raise UsageError(
                "there is no such fault",
                repr(harmless(name, 60)),
                expected=f"one of {', '.join(FAULTS)}",
                remedy=f"did you mean {near}={FAULTS[near]}?" if near else None,
            )
        if name in seen:
            raise UsageError("this fault is given twice", name, remedy="give it once")
        seen.add(name)
        try:
            plan = _READERS[name](plan, value if sign else "")
        except ValueError as error:
            raise UsageError(
                "this value of a fault cannot be",
                f"--fault {name}",
                expected=f"{error}, as in {name}={FAULTS[name]}",
                found=repr(harmless(value, 60)) if sign else "no value",
                remedy=meant("percent", value),
            ) from error
    return plan


def _share(text: str) -> float:
    return float(percent(text))


def _outage(text: str) -> Outage:
    lasts, _, begins = text.partition("@")
    begin = length(begins) if begins else timedelta(0)
    return Outage(begin, begin + length(lasts))


def _late_crash(plan: FaultPlan, text: str) -> FaultPlan:
    part, _, after = text.partition("@")
    return replace(plan, late_crash=_share(part), late_crash_after=length(after) if after else timedelta(0))


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) <= len(str(MOST_RECONCILERS)) else 0
    if not 1 <= count <= MOST_RECONCILERS:
        message = f"a whole number from 1 to {MOST_RECONCILERS}"
        raise ValueError(message)
    return count


_READERS: dict[str, Callable[[FaultPlan, str], FaultPlan]] = {
    "boot_crash": lambda plan, text: replace(plan, boot_crash=_share(text)),
    "late_crash": _late_crash,
    "integrity": lambda plan, text: replace(plan, integrity=_share(text)),
    "network": lambda plan, text: replace(plan, network=_share(text)),
    "metric_outage": lambda plan, text: replace(plan, metric_outage=_outage(text)),
    "reconcile_down": lambda plan, text: replace(plan, reconcile_down=_outage(text)),
    "reconcilers": lambda plan, text: replace(plan, reconcilers=_count(text)),
    "restart": lambda plan, text: replace(plan, restart=_share(text)),
}
