"""Which channels and rollouts a verb means when it is not told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from otagate._text import nearest
from otagate.errors import NotFoundError, UsageError, VerificationError
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName
from otagate.rollout.repository import Stored


def channel_names(workspace: Workspace) -> list[ChannelName]:
    """Give the channels that the policy names, in its order, then any others that the store has."""
    policy = workspace.policy
    names = [phase.channel for track in policy.tracks.values() for phase in track.phases]
    names += [ChannelName(rule.channel) for rule in policy.branches if rule.channel and "{" not in rule.channel]
    return list(dict.fromkeys([*names, *workspace.channels_read_only.names()]))


def _rollout_channels(workspace: Workspace) -> list[ChannelName]:
    """Give all channels, and those that only a rollout names which has not come to its first yet.

    The policy may have been edited since it was started, and name that channel no more.
    """
    return list(dict.fromkeys([*channel_names(workspace), *workspace.rollouts.channels()]))


def check_channel(workspace: Workspace, name: ChannelName) -> None:
    """Refuse a channel that is nowhere: of a misspelt one a monitor would hear for ever that all is well.

    Raises:
        NotFoundError: Neither does the policy ship to it, nor does the store have it.
    """
    rules = workspace.policy.branches
    if any(_is_of(rule.channel, name) for rule in rules if rule.channel) or name in (known := _rollout_channels(workspace)):
        return
    near = nearest(str(name), map(str, known))
    remedy = f"did you mean {near}?" if near else "see `otagate status`"
    raise NotFoundError("there is no such channel", f"{name} of {workspace.policy.app}", remedy=remedy)


def _is_of(pattern: str, name: ChannelName) -> bool:
    """Tell whether a rule's channel, such as ``pr-{number}``, may stand for this one."""
    return re.fullmatch(".+".join(map(re.escape, re.split(r"\{[^{}]*\}", pattern))), str(name)) is not None


def active_rollouts(workspace: Workspace) -> list[Stored]:
    """Give the active rollouts, each once. Found by the exact keys of the channels that they hold.

    Raises:
        VerificationError: What stands there is damaged.
    """
    found, damaged = readable_rollouts(workspace)
    for error in damaged.values():
        raise error
    return found


def readable_rollouts(workspace: Workspace) -> tuple[list[Stored], dict[str, VerificationError]]:
    """Give the active rollouts, and by ``channel NAME`` what is damaged: that must not keep the others from being judged."""
    return _readable(workspace, _rollout_channels(workspace))


def _readable(workspace: Workspace, names: Sequence[ChannelName]) -> tuple[list[Stored], dict[str, VerificationError]]:
    found: dict[str, Stored] = {}
    damaged: dict[str, VerificationError] = {}
    for name in names:
        try:
            holder = workspace.rollouts.holder(name)
        except VerificationError as error:
            damaged[f"channel {name}"] = error
            continue
        if holder is not None:
            found[holder.state.id] = holder
    return list(found.values()), damaged


def _between(workspace: Workspace, name: ChannelName) -> Stored | None:
    """Give the rollout that was killed on its way from a channel or to it: it may hold that one only which was not named."""
    # Only where tracks lead: a rollback does not wait for hundreds of previews to be looked at.
    phases = [phase.channel for track in workspace.policy.tracks.values() for phase in track.phases]
    for stored in _readable(workspace, list(dict.fromkeys(phases)))[0]:
        state = stored.state
        if not state.is_terminal and state.current is not None and name in {state.held, state.current.channel}:
            return stored
    return None


def last_rollout(workspace: Workspace, name: ChannelName | None) -> Stored | None:
    """Give the rollout that had a channel last, whatever became of it; without a channel the newest of all that had one."""
    names = [name] if name is not None else _rollout_channels(workspace)
    found = [stored for one in names if (stored := workspace.rollouts.last(one)) is not None]
    return max(found, key=lambda stored: stored.state.created_at, default=None)


def active_rollout(workspace: Workspace, name: ChannelName | None) -> Stored | None:
    """Give the rollout that holds a channel; without a channel the only active one, or None when there is none.

    Raises:
        UsageError: Several are active and none was named.
    """
    if name is not None:
        return workspace.rollouts.holder(name) or _between(workspace, name)
    active = active_rollouts(workspace)
    if len(active) > 1:
        shown = ", ".join(f"{one.state.id} in {one.state.held}" for one in active)
        raise UsageError(
            "several rollouts are active", expected="one, named by --channel", found=shown, remedy="add --channel NAME"
        )
    return active[0] if active else None
