"""The closed set of things a plan may say, as data: what `plan` prints, what `--dry-run` prints, and what is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StepKind(StrEnum):
    """What a step does; the order here is the order of the flow."""

    BUILD = "build"
    VET = "vet"
    BUNDLE = "bundle"
    SEAL = "seal"
    PUBLISH = "publish"
    START = "start"
    SUPERSEDE = "supersede"
    ADVANCE = "advance"
    SOAK = "soak"
    APPROVE = "approve"
    COMPLETE = "complete"
    MOVE = "move"
    PAUSE = "pause"
    RESUME = "resume"
    ROLL_BACK = "roll_back"
    PRUNE = "prune"
    ADMIN = "admin"


class Status(StrEnum):
    """How a step stands when the plan is made."""

    TODO = "todo"
    DONE = "done"
    LATER = "later"
    """Done by a later run or reconcile: a soak or an approval lies before it."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        kind: What it does.
        title: In a few words, such as ``promote beta to 1.4.2 at 5%``.
        status: How it stands.
        detail: What a reader wants to know besides, or "".
    """

    kind: StepKind
    title: str
    status: Status = Status.TODO
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered list of steps.

    Attributes:
        goal: In one sentence.
        steps: In the order they happen.
        facts: What the plan was made from, in order: ref, commit, version, track, store.
        notes: What a person should know, such as why nothing is to be done.
        refusal: Why this run may not do it (a fork's pull request), or "". The steps are shown all the same.
    """

    goal: str
    steps: tuple[Step, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def has_work(self) -> bool:
        """Whether anything would change now."""
        return any(step.status is Status.TODO for step in self.steps)
