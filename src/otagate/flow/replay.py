"""Judging a past or running rollout again by the policy as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from otagate._text import harmless
from otagate.errors import NotFoundError, UsageError, VerificationError
from otagate.flow.measuring import measure_rollout
from otagate.flow.workspace import Workspace
from otagate.gate.judge import Reading
from otagate.gate.sources.registry import open_sources
from otagate.rollout.deeds import by_itself
from otagate.rollout.kept import KeptLook
from otagate.rollout.ledger_entry import LedgerEntry
from otagate.rollout.looks import Looks
from otagate.rollout.replay import Replay, replay, state_at
from otagate.rollout.state import RolloutState

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Replayed:
    """A rollout as it stands, and as the policy would have led it."""

    state: RolloutState
    replay: Replay


def replay_rollout(workspace: Workspace, rollout_id: str, *, ask_again: bool) -> Replayed:
    """Judge every look that was kept of a rollout by the policy's present gates and evaluation. Changes nothing.

    Args:
        workspace: Where, and the other policy.
        rollout_id: Which rollout; its release's version will do where that had only one.
        ask_again: Ask the sources about the windows of the looks, instead of using what they said then.

    Raises:
        NotFoundError: There is no such rollout, or none of its looks was kept.
        UsageError: The policy has no gates.
        VerificationError: What stands there are no looks at this rollout.
    """
    policy = workspace.policy
    if not policy.gates:
        raise UsageError("there are no gates to judge by", policy.file.name, remedy="add `gates`, or remove `gates: {}`")
    stored = workspace.rollouts.load(rollout_id) or workspace.rollouts.load(_of_version(workspace, rollout_id))
    if stored is None:
        raise VerificationError("the ledger tells of a rollout that is not there", harmless(rollout_id, 200))
    looks = Looks(workspace.store.documents, policy.app).all(rollout_id := stored.state.id)
    if not looks:
        raise NotFoundError(
            "no look at this rollout was kept, so there is nothing to judge again",
            rollout_id,
            remedy="`reconcile` keeps every look from the first phase on; a rollout of an older otagate has none",
        )
    if any(look.phase not in range(len(stored.state.spec.track.phases)) or look.step < 0 for look in looks):
        raise VerificationError("the looks that were kept are those of another rollout", rollout_id)
    measured = _measured(workspace, stored.state, looks) if ask_again else None
    told = by_itself(_since_the_start(workspace, rollout_id), rollout_id)
    return Replayed(stored.state, replay(stored.state, looks, policy.gates, policy.judgement, measured, told=told))


def _since_the_start(workspace: Workspace, rollout_id: str) -> Iterator[LedgerEntry]:
    for entry in workspace.ledger.newest(workspace.ledger.last()):
        yield entry
        if entry.kind == "rollout.started" and entry.data.get("rollout") == rollout_id:
            return


def _of_version(workspace: Workspace, name: str) -> str:
    """Give the only rollout of a version, as the ledger tells it.

    Raises:
        NotFoundError: There is none, or there are several; the message names the newest rollouts.
    """
    started = [entry.data for entry in workspace.ledger.entries() if entry.kind == "rollout.started"]
    known = [str(data.get("rollout")) for data in started if data.get("version") == name]
    if len(known) == 1:
        return known[0]
    newest = known or [str(data.get("rollout")) for data in started[-_MOST_NAMED:]]
    expected = f"one of {', '.join(harmless(one, 120) for one in newest)}" if newest else None
    remedy = "see `otagate history --kind rollout.started`"
    raise NotFoundError("there is no such rollout", harmless(name, 200), expected=expected, remedy=remedy)


def _measured(workspace: Workspace, state: RolloutState, looks: Sequence[KeptLook]) -> list[Sequence[Reading]]:
    policy = workspace.policy
    spec = replace(state.spec, gates=policy.gates, judgement=policy.judgement)
    sources = open_sources(policy.gates, root=policy.root, environ=workspace.environ)
    readings = []
    for number, look in enumerate(looks, 1):
        then = replace(state_at(state, look), spec=spec)
        readings.append(measure_rollout(then, look.at, root=policy.root, environ=workspace.environ, sources=sources))
        workspace.listener.progress("asking again", number, len(looks))
    return readings
