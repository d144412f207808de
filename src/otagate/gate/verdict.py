"""What comes out of a judgement: verdicts, demands, results.

Values only; :mod:`otagate.gate.judge` fills them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from otagate.gate.look import Streak
from otagate.policy.model.gates import Action


class Verdict(StrEnum):
    """What a gate says about one release."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    """Looked at as planned, with enough devices, within target and limit. Only this and ``warn`` let a rollout go on."""
    WARN = "warn"
    """Looked at as planned, with enough devices, within the limit and beyond the target."""
    FAIL = "fail"
    """Beyond the limit."""
    INCONCLUSIVE = "inconclusive"
    """Nothing speaks against it so far, and this is not its planned look."""
    INSUFFICIENT = "insufficient"
    """The planned look is due, and there are too few devices, or they cover too little of the soak."""
    NO_DATA = "no_data"
    """The source answers and knows no device."""
    STALE = "stale"
    """The newest observation is too old."""
    ERROR = "error"
    """The source failed, or what it said cannot be true."""

    @property
    def severity(self) -> int:
        """Place in the order from ``pass``, 0, to ``fail``, 7: which of several verdicts speaks for them all."""
        return _BY_SEVERITY.index(self)

    @property
    def lets_through(self) -> bool:
        """Whether this verdict lets a rollout go on: only ``pass`` and ``warn`` do."""
        return self in {Verdict.PASS, Verdict.WARN}


_BY_SEVERITY = (
    Verdict.PASS,
    Verdict.WARN,
    Verdict.INCONCLUSIVE,
    Verdict.INSUFFICIENT,
    Verdict.STALE,
    Verdict.NO_DATA,
    Verdict.ERROR,
    Verdict.FAIL,
)


class Demand(StrEnum):
    """What a judgement asks for now, weakest first."""

    NONE = "none"
    ALERT = "alert"
    PAUSE = "pause"
    ROLLBACK = "rollback"

    @property
    def rank(self) -> int:
        """Place in the order none, alert, pause, rollback: 0 to 3."""
        return tuple(Demand).index(self)

    @property
    def stops(self) -> bool:
        """Whether it stops a rollout: pause and rollback do."""
        return self in {Demand.PAUSE, Demand.ROLLBACK}


class CheckKind(StrEnum):
    """What a check compares."""

    SHARE = "share"
    """A share of bad devices with a limit."""
    CONTRAST = "contrast"
    """The rate of bad devices with that of the control devices."""
    SPLIT = "split"
    """The share of devices that have the release with its weight."""
    VALUE = "value"
    """A plain number with a bound."""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit of one gate, judged, with all its evidence.

    Attributes:
        name: ``limit``, ``escalate``, or for exceedance limits such as ``over 45s``.
        verdict: What this limit says.
        action: What its fail does by policy.
        demand: What it asks for now; already none or alert when the gate must not act.
        threshold: Largest tolerated share of bad devices, 0..1.
        target: Beyond this share of bad devices it warns, or None.
        bad: Devices that failed, or None without data.
        total: Devices observed, or None without data.
        interval: Wilson 95 % interval of the bad share, or None without data.
        log_e: Natural logarithm of the evidence that the share is above the threshold, or None without data.
        log_e_pause: ``log_e`` from which on it pauses (or alerts, when that is its action).
        log_e_rollback: ``log_e`` from which on it rolls back, or None when it never does.
        pending: Devices whose fate is not known yet; the evidence takes them for not bad.
        missing: Devices still needed for the planned look; 0 when there are enough.
        start: Beginning of the window, or None when nothing was measured.
        end: End of the window, excluded.
        newest_at: Newest observation, when the source can tell.
        query: What the source was asked; without secrets.
        digest: SHA-256 hex of the raw answer, or None.
        reason: One sentence for people.
        kind: What it compares: decides what ``threshold`` is: a share, an increase (0.5: one and a half times), or a number.
        sequence: Interval of the bad share that stays valid however often one looks, with the pause budget's confidence.
        log_e_below: With ``evidence: prove``, natural logarithm of the evidence that the share is below the threshold.
        control: Bad and all devices of the control, for a contrast.
        value: The plain number, or None.
        streak: So many looks in a row found ``value`` out of bounds.
    """

    name: str
    verdict: Verdict
    action: Action
    demand: Demand
    threshold: Decimal
    target: Decimal | None
    bad: int | None
    total: int | None
    interval: tuple[float, float] | None
    log_e: float | None
    log_e_pause: float
    log_e_rollback: float | None
    missing: int
    start: datetime | None
    end: datetime | None
    newest_at: datetime | None
    query: str
    digest: str | None
    reason: str
    kind: CheckKind = CheckKind.SHARE
    sequence: tuple[float, float] | None = None
    log_e_below: float | None = None
    control: tuple[int, int] | None = None
    value: float | None = None
    streak: int = 0
    pending: int = 0

    @property
    def estimate(self) -> Fraction | None:
        """The exact share of bad devices, or None without data."""
        return Fraction(self.bad, self.total) if self.total and self.bad is not None else None

    @property
    def is_above(self) -> bool:
        """Whether, for a share, there are enough devices and more of them are bad than the limit allows."""
        share = self.estimate
        return self.kind is CheckKind.SHARE and not self.missing and share is not None and share > Fraction(self.threshold)


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says.

    Attributes:
        metric: The gate's name.
        verdict: The worst verdict of its checks.
        action: What it demands now.
        holds: It keeps the rollout from going on: a check that may stop the rollout has not been passed.
            Gates that only alert, and dry runs, never hold.
        is_gating: It may stop a rollout at all.
        is_due: This was its planned look.
        is_dry_run: Measured and shown, never acted on.
        checks: One a limit, in the policy's order.
        streak: What a gate on a plain number remembers until the next look.
    """

    metric: str
    verdict: Verdict
    action: Demand
    holds: bool
    is_gating: bool
    is_due: bool
    is_dry_run: bool
    checks: tuple[Check, ...]
    streak: Streak | None = None

    @property
    def is_decided(self) -> bool:
        """Whether this was its planned look, and said yes or no of every limit that may stop the rollout.

        The failure of a limit that only alerts, or of one of two that act, says nothing of the others.
        """
        return self.is_due and all(one.verdict.lets_through or one.verdict is Verdict.FAIL for one in self._acting)

    @property
    def decisive(self) -> Check:
        """The check that decided: the worst, and among equals the one that demands most, then the first."""
        return max(self.checks, key=lambda check: (check.verdict.severity, check.demand.rank))

    @property
    def reason(self) -> str:
        """Why, in one sentence: that of the check which decided."""
        return self.decisive.reason

    @property
    def holding(self) -> Check:
        """The check that keeps the rollout: the worst of those that may stop it.

        A limit that only alerts may have failed long before the others of its gate know enough; it is not what is waited for.
        """
        return max(self._acting, key=lambda check: (check.verdict.severity, check.demand.rank))

    @property
    def _acting(self) -> Sequence[Check]:
        """The checks that may stop the rollout, or all of a gate that only alerts."""
        return [check for check in self.checks if check.action is not Action.ALERT] or self.checks

    @property
    def has_zero_bad(self) -> bool:
        """Whether devices were observed and none was bad, for every limit that acts; for ``on_insufficient: pass_if_zero_bad``.

        Not where more devices are on their way than are known: of those nobody can say that none is bad.
        """
        return all(check.bad == 0 and check.total and check.pending <= check.total for check in self._acting)
