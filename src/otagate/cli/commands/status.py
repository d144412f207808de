"""``otagate status``: where channels and rollouts stand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from otagate._bucket_url import place_of
from otagate._clock import to_text
from otagate._text import harmless, span
from otagate.channel.interface import ChannelReading
from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Line, Tone
from otagate.cli.render.mirrors import lag_data, lag_view
from otagate.cli.render.views import (
    channel_data,
    channel_rows,
    last_look_data,
    last_look_view,
    next_hint,
    outputs,
    rollout_data,
    rollout_view,
)
from otagate.errors import ExitCode, UsageError
from otagate.flow import leftovers
from otagate.flow.last_look import glance
from otagate.flow.select import active_rollouts, channel_names, check_channel
from otagate.flow.store_clock import warn_of_skew
from otagate.policy.model.policy import Policy
from otagate.policy.values import duration
from otagate.rollout import machine
from otagate.rollout.replay import ReplayedLook
from otagate.rollout.state import RolloutState, Stage
from otagate.rollout.waiting import next_look

_SOON = timedelta(days=3)
"""A pointer that expires within this time is pointed out."""

HELP = "where channels and rollouts stand"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--channel", metavar="NAME", help="only this channel (default: all)")
    parser.add_argument(
        "--max-age",
        metavar="TIME",
        help="end with 7 when an active rollout was not reconciled for so long, such as 2h: for an outside monitor",
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Look; write nothing."""
    most = _length(args.max_age)
    workspace = open_workspace(args, env)
    only = channel_of(args)
    if only is not None:
        check_channel(workspace, only)
    names = [only] if only else channel_names(workspace)
    readings = [reading for name in names if (reading := workspace.channels_read_only.read(name)) is not None]
    holder = workspace.rollouts.holder(only) if only else None
    rollouts = ([holder] if holder else []) if only else active_rollouts(workspace)
    now = env.clock.now()
    if rollouts:
        warn_of_skew(workspace)
        now = workspace.store_clock.now()  # that of a monitor may be behind, and it would never hear that nobody reconciles
    left = leftovers.find(workspace, readings)
    unwatched = _unwatched(readings, [stored.state for stored in rollouts], left)
    nothing = f"channel {only} has not been moved yet" if only else "no channel has been moved yet"
    view: list[Block] = [_heading(workspace.policy), channel_rows(readings, now) if readings else Line(nothing)]
    view += _expiring(readings, now)
    view += [Line(f"the next `otagate reconcile` will {one}", Tone.WARN) for one in left]
    view += [Line(text, Tone.WARN) for text in unwatched.values()]
    if workspace.policy.mirrors:
        env.note("asking the mirrors (a minute or more, when one does not answer)")
    lags = workspace.mirrors.glance(readings)
    view += lag_view(lags)
    looks = {stored.state.id: glance(workspace, stored.state) for stored in rollouts}
    view += [block for stored in rollouts for block in _rollout_view(stored.state, looks[stored.state.id], now)]
    late = [stored.state for stored in rollouts if most is not None and _age(stored.state, now) > most]
    view += [_late(state, now) for state in late]
    if not rollouts:
        view.append(Line("no rollout is active"))
    flat = outputs(rollouts[0].state) if len(rollouts) == 1 else {}
    data = {
        "app": str(workspace.policy.app),
        "storage": workspace.policy.storage,
        "channels": [channel_data(reading, now) for reading in readings],
        "rollouts": [_rollout_data(stored.state, looks[stored.state.id], now) for stored in rollouts],
        "late": [state.id for state in late],
        "unwatched": list(unwatched),
        "leftovers": [str(one) for one in left],
        "mirrors": [lag_data(lag) for lag in lags],
        "outputs": flat,
    }
    return Result("otagate/status/v1", data, view, ExitCode.UNAVAILABLE if late else ExitCode.DONE, flat)


def _expiring(readings: Sequence[ChannelReading], now: datetime) -> list[Block]:
    soon = {str(one.state.name): f"{one.expires:%Y-%m-%d %H:%M} UTC" for one in readings if one.expires - now < _SOON}
    said = "the pointer of {} expires {}: otagate reconcile signs it anew"
    return [Line(said.format(name, when), Tone.WARN) for name, when in soon.items()]


def _late(state: RolloutState, now: datetime) -> Block:
    text = f"{state.id} was not reconciled for {span(_age(state, now))}: is the schedule of `otagate reconcile` running?"
    return Line(text, Tone.BAD)


def _rollout_view(state: RolloutState, look: ReplayedLook | None, now: datetime) -> list[Block]:
    view = [*rollout_view(state), *last_look_view(look, state.waived)]
    window = "" if state.stage is Stage.PAUSED else machine.waits_for_window(state, now)
    view += [Line(f"waiting for {window}")] if window else []
    due = next_look(state, now)
    view += [Line(f"next look at {due:%Y-%m-%d %H:%M:%S} UTC", Tone.DIM)] if due else []
    return [*view, Line(f"next: {next_hint(state)}", Tone.DIM)]


def _rollout_data(state: RolloutState, look: ReplayedLook | None, now: datetime) -> dict[str, Any]:
    due = next_look(state, now)
    return {**rollout_data(state), "last_look": last_look_data(look), "next_look": to_text(due) if due else None}


def _unwatched(
    readings: Sequence[ChannelReading], active: Sequence[RolloutState], left: Sequence[leftovers.Leftover]
) -> dict[str, str]:
    """Give, by channel, a word on each candidate that no rollout looks after: `promote --weight` offers one by hand."""
    watched = {(name, state.release) for state in active for name in state.exposed}
    watched |= {(one.reading.state.name, one.rollout.release) for one in left}
    found = {}
    for reading in readings:
        candidate, name = reading.state.candidate, reading.state.name
        if candidate is not None and (name, candidate.release) not in watched:
            version = candidate.release.version
            found[str(name)] = (
                f"{version} is offered to {candidate.weight} of {name} and no rollout watches it, so no gate stops it: "
                f"otagate promote --channel {name} --release {version}, or take it off: otagate rollback --channel {name}"
            )
    return found


def _age(state: RolloutState, now: datetime) -> timedelta:
    return max(now - (state.last_reconcile_at or state.created_at), timedelta(0))


def _length(text: str | None) -> timedelta | None:
    try:
        return None if text is None else duration(text)
    except ValueError as error:
        raise UsageError(
            "--max-age is no length of time", "--max-age", expected="such as 2h", found=f"'{harmless(text or '', 80)}'"
        ) from error


def _heading(policy: Policy) -> Heading:
    apart = f", documents in {place_of(policy.documents)}" if policy.documents else ""
    return Heading(f"{policy.app} in {place_of(policy.storage)}{apart}")
