"""Write the operating curves into docs/gates.md: who stops which releases, how often, and after how many devices.

`--check` only compares; a test does that for some rows. Every figure is an exact sum over the binomial distribution of how many
bad devices are known at each look. For our gate, the real judgement (`otagate.gate.judge.judge`) says which counts stop.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otagate.gate.crossing import median_look, stop_chances
from otagate.gate.interface import Measurement
from otagate.gate.judge import Look, LookKind, Reading, count_gating, judge
from otagate.gate.power import even_looks
from otagate.gate.stats import wilson
from otagate.policy.build import default_gates
from otagate.policy.model.gates import GateSpec, Judgement

TARGET = Path(__file__).parent.parent / "docs" / "gates.md"
HOURS = 24
SPEEDS = (10, 50, 200, 2000)
RATES = (0.005, 0.01, 0.02, 0.04, 0.06, 0.10, 0.30)
LIMIT = 0.02
SUCCESS_LIMIT = 0.15
FAILED = 0.32
"""Share of installs that fail in the field."""
NETWORK = 0.67
"""Part of those that are downloads which broke off."""
ATTEMPTS = 100
"""Fewest attempts in an hour that the windowed bound looks at."""
START = datetime(2026, 11, 21, tzinfo=UTC)
GATES = {gate.metric: gate for gate in default_gates()}
JUDGEMENT = Judgement()
PARTS = count_gating(tuple(GATES.values()))


@dataclass(frozen=True, slots=True)
class Fate:
    """What a way of watching does to releases of one true rate: chance to stop one by each look."""

    chances: tuple[float, ...]
    looks: tuple[int, ...]

    @property
    def stopped(self) -> float:
        return min(1.0, math.fsum(self.chances))

    @property
    def devices(self) -> int | None:
        """Devices that have the release when half of such releases are stopped; None when fewer than half ever are."""
        look = median_look(self.chances)
        return None if look is None else self.looks[look - 1]


def smallest(total: int, stops: Callable[[int], bool]) -> int | None:
    """Give the smallest count of bad devices that stops; whatever stops, more bad devices stop too."""
    if not stops(total):
        return None
    low, high = 0, total
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if stops(middle) else (middle + 1, high)
    return low


def ours(spec: GateSpec, looks: Sequence[int], *, is_planned: bool) -> list[int | None]:
    """Ask the real judgement at every look; the last is the planned one, or, with `is_planned` off, one like the others."""

    def judged(hour: int, bad: int, total: int) -> bool:
        now = START + timedelta(hours=hour)
        reading = Reading(spec.metric, START, now, Measurement(bad, total, now, ""))
        kind = LookKind.PHASE_END if is_planned and hour == len(looks) else LookKind.INTERIM
        look = Look(kind, START, START + timedelta(hours=len(looks)))
        result = judge(spec, [reading], look=look, judgement=JUDGEMENT, gating_metrics=PARTS, now=now)
        return result.action.stops

    return [
        smallest(total, lambda bad, hour=hour, total=total: judged(hour, bad, total))  # type: ignore[misc]
        for hour, total in enumerate(looks, 1)
    ]


def ratio(looks: Sequence[int], limit: float, at_least: int = 1) -> list[int | None]:
    """Stop when the share of bad devices so far is above the limit, as Argo Rollouts and Flagger do."""
    return [None if total < at_least else smallest(total, lambda bad, n=total: bad / n > limit) for total in looks]  # type: ignore[misc]


def bound(looks: Sequence[int], limit: float) -> list[int | None]:
    """Stop when the lower end of the Wilson interval reaches the limit, on all devices so far."""
    return [smallest(total, lambda bad, n=total: bad > 0 and wilson(bad, n)[0] >= limit) for total in looks]  # type: ignore[misc]


def windowed(looks: tuple[int, ...], limit: float, rate: float) -> Fate:
    """The same on the devices of the last hour only, from 100 on: auto-pause with its default window."""
    chances, alive, seen = [], 1.0, 0
    for total in looks:
        new, seen = total - seen, total
        stop = bound([new], limit) if new >= ATTEMPTS else [None]
        chances.append(alive * stop_chances([new], stop, rate)[0])
        alive -= chances[-1]
    return Fate(tuple(chances), looks)


def fates(spec: GateSpec, per_hour: int, limit: float) -> Callable[[float], list[Fate]]:
    """Give, for a number of devices an hour, a function from a true rate to the fates under every way of watching."""
    looks = even_looks(per_hour * HOURS, HOURS)
    ways = [
        ours(spec, looks, is_planned=False),
        ours(spec, looks, is_planned=True),
        ratio(looks, limit),
        ratio(looks, limit, spec.min_sample),
        bound(looks, limit),
    ]

    def at(rate: float) -> list[Fate]:
        return [*(Fate(stop_chances(looks, way, rate), looks) for way in ways), windowed(looks, limit, rate)]

    return at


def crash_rows(speeds: Sequence[int] = SPEEDS, rates: Sequence[float] = RATES) -> list[tuple[str, ...]]:
    """Default crash gate: limit 2 %, 300 devices at the planned look, rollback from 10 %."""
    rows = []
    for per_hour in speeds:
        at = fates(GATES["crash_rate"], per_hour, LIMIT)
        rows += [(str(per_hour), percent(rate), *cells(at(rate))) for rate in rates]
    return rows


def install_rows(speeds: Sequence[int] = SPEEDS) -> list[tuple[str, ...]]:
    """Default success gate: limit 15 % failed installs, in a field where a third fails, mostly by the network.

    A broken release fails by itself on 30 % of the devices that got it. Who counts broken downloads too sees every device
    that tried; who does not sees those that got it.
    """
    spec, network = GATES["device_success_rate"], FAILED * NETWORK
    own = (FAILED - network) / (1 - network)
    rows = []
    for per_hour in speeds:
        reached = fates(spec, round(per_hour * (1 - network)), SUCCESS_LIMIT)
        tried = fates(spec, per_hour, SUCCESS_LIMIT)
        for name, rate in (("as the field", own), ("broken", 2 * SUCCESS_LIMIT)):
            counted = tried(network + (1 - network) * rate)
            # Shown is always how many have tried: that is how many people it happens to.
            split = [replace(fate, looks=counted[0].looks) for fate in reached(rate)]
            told = [split[0], split[1], counted[0], counted[2], counted[4], counted[5]]
            rows.append((str(per_hour), name, percent(rate), *(cell(fate) for fate in told)))
    return rows


def cells(found: Sequence[Fate]) -> tuple[str, ...]:
    return tuple(cell(fate) for fate in found)


def cell(fate: Fate) -> str:
    """Show how many are stopped, and in brackets the devices by which half of them are."""
    devices = "" if fate.devices is None else f" ({fate.devices})"
    return f"{percent(fate.stopped)}{devices}"


def percent(share: float) -> str:
    value = share * 100
    if 0 < value < 0.01:  # noqa: PLR2004 - what is shown as two digits
        return "<0.01 %"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"


CRASH_HEAD = (
    "an hour",
    "truly bad",
    "ours, any look",
    "ours, with the planned look",
    "ratio",
    "ratio from 300",
    "Wilson",
    "Wilson, 1 h",
)
INSTALL_HEAD = (
    "an hour", "release", "own failures", "ours, any look", "ours, with the planned look", "ours, downloads counted",
    "ratio", "Wilson", "Wilson, 1 h",
)  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def block(text: str, mark: str) -> tuple[int, int]:
    """Find what stands between a mark and its end."""
    return text.index(f"<!-- {mark} -->\n") + len(f"<!-- {mark} -->\n"), text.index(f"<!-- end of {mark} -->")


def render(text: str) -> str:
    for mark, new in (
        ("crash curves", table(CRASH_HEAD, crash_rows())),
        ("install curves", table(INSTALL_HEAD, install_rows())),
    ):
        start, end = block(text, mark)
        text = text[:start] + new + text[end:]
    return text


def main() -> None:
    text = TARGET.read_text()
    new = render(text)
    if "--check" in sys.argv:
        sys.exit(0 if text == new else "docs/gates.md is out of date: run scripts/operating_curves.py")
    TARGET.write_text(new)


if __name__ == "__main__":
    main()
