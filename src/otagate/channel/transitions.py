"""What a channel pointer may become: pure functions from one state to the next.

Each gives a new state whose serial is one higher, or the very same object when there is nothing to change, so that a
caller can say ``if after is not before: channels.move(after, …)`` and doing a thing twice is doing it once. Four rules hold
whatever is called, in whatever order:

* a release that was withdrawn is never stable and never a candidate again;
* the weight of a candidate grows, except by :func:`lower`, and its seed stays, so that a device that is in stays in;
* ``candidate`` and ``stable`` never name the same version;
* ``previous`` never holds more than :data:`MAX_PREVIOUS`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from otagate.errors import ConflictError, UsageError
from otagate.model import FULL_WEIGHT, AppId, Candidate, ChannelName, ChannelState, ReleaseRef, Weight

MAX_PREVIOUS = 10
"""How many former stable releases a pointer remembers."""

_SEED = re.compile(r"[0-9a-f]{32}", re.ASCII)


def unborn(app: AppId, name: ChannelName) -> ChannelState:
    """Give the state of a channel that does not exist yet: serial 0, nothing served. The first transition makes it serial 1."""
    return ChannelState(app=app, name=name, serial=0, stable=None)


def offer(state: ChannelState, release: ReleaseRef, weight: Weight, seed: str) -> ChannelState:
    """Start ramping ``release``, or raise its weight.

    A candidate at 100 % stays the candidate until :func:`settle`. Another release that was the candidate is replaced.
    Nothing changes when the release is stable already, or is the candidate at this weight or a higher one.

    Args:
        state: The channel as it is.
        release: What to serve to a share of the devices.
        weight: That share.
        seed: 32 lower-case hex digits, used when the release becomes the candidate; a release that is the candidate keeps
            the seed it has.

    Raises:
        ConflictError: The release was rolled back on this channel, or its version stands there for another statement.
        UsageError: ``seed`` is not 32 hex digits.
    """
    if not _SEED.fullmatch(seed):
        raise UsageError("this is not a cohort seed", expected="32 lower-case hex digits", found=f"{len(seed)} characters")
    _refuse_blocked(state, release)
    if _is(state, state.stable, release):
        return state
    candidate = state.candidate
    if candidate is not None and _is(state, candidate.release, release):
        if weight <= candidate.weight:
            return state
        return _promoted(state, candidate=replace(candidate, weight=weight))
    return _promoted(state, candidate=Candidate(release, weight, seed))


def settle(state: ChannelState, release: ReleaseRef) -> ChannelState:
    """Make the candidate the stable release; what was stable becomes the newest of ``previous``.

    Nothing changes when the release is stable already.

    Raises:
        ConflictError: The release was rolled back here, is not the candidate, or is not at 100 % yet: settling it would
            expose devices that no gate has agreed to.
    """
    _refuse_blocked(state, release)
    if _is(state, state.stable, release):
        return state
    candidate = state.candidate
    if candidate is None or not _is(state, candidate.release, release):
        raise ConflictError(
            "a release that is not the channel's candidate cannot become stable",
            _subject(state),
            expected=f"candidate {release}",
            found=f"candidate {candidate.release}" if candidate else "no candidate",
            remedy="read the channel again (otagate status): somebody else moved it",
        )
    if not candidate.weight.is_full:
        raise ConflictError(
            "a candidate becomes stable only from 100%",
            _subject(state),
            expected=f"{release} at {Weight(FULL_WEIGHT)}",
            found=f"{release} at {candidate.weight}",
            remedy="raise its weight to 100% first",
        )
    return _promoted(state, stable=release, candidate=None, previous=_push(state))


def lower(state: ChannelState, release: ReleaseRef, weight: Weight) -> ChannelState:
    """Take the candidate back from a part of the devices: those above ``weight`` are served the stable release again.

    Nothing changes when the release is not the candidate, or has this weight or less.
    """
    candidate = state.candidate
    if candidate is None or not _is(state, candidate.release, release) or candidate.weight <= weight:
        return state
    return _next(state, candidate=replace(candidate, weight=weight))


def drop(state: ChannelState, release: ReleaseRef) -> ChannelState:
    """Stop offering a candidate, without blocking its version. Nothing changes when the release is not the candidate."""
    candidate = state.candidate
    if candidate is None or not _is(state, candidate.release, release):
        return state
    return _next(state, candidate=None)


def withdraw(state: ChannelState, release: ReleaseRef, *, remember: bool = False) -> ChannelState:
    """Roll ``release`` back: stop serving it, serve what was served before, and block its version on this channel.

    A candidate is dropped. A stable release gives way to the newest of ``previous`` that is not blocked, or to the
    bundle that is built into the native app when there is none; another release that is ramping up goes on doing so. A
    release that is neither is blocked all the same, and with ``remember`` counts as what was rolled back last. Nothing changes
    when that is how it is already. A pause stays.
    """
    is_new = release.version not in state.blocked
    blocked = (*state.blocked, release.version) if is_new else state.blocked
    after = replace(state, blocked=blocked, withdrawn=release.version if remember and is_new else state.withdrawn)
    if after.candidate is not None and after.candidate.release.version == release.version:
        after = replace(after, candidate=None, withdrawn=release.version)
    if after.stable is not None and after.stable.version == release.version:
        after = replace(_fall_back(after), withdrawn=release.version)
    return state if after == state else replace(after, serial=state.serial + 1)


def set_stable(state: ChannelState, target: ReleaseRef | None) -> ChannelState:
    """Make ``target`` stable at once: a release, or None for the bundle built into the native app.

    A candidate is dropped, whatever it is; what was stable becomes the newest of ``previous``. Nothing is blocked and a pause
    stays, so that on a paused channel no device moves before :func:`unpause`; to bring devices back, use :func:`roll_back_to`.

    Raises:
        ConflictError: The release was rolled back on this channel, or its version stands there for another statement.
    """
    if target is not None:
        _refuse_blocked(state, target)
        _is(state, state.stable, target)
    if state.stable != target:
        return _promoted(state, stable=target, candidate=None, previous=_push(state))
    return state if state.candidate is None else _promoted(state, candidate=None)


def roll_back_to(state: ChannelState, target: ReleaseRef | None) -> ChannelState:
    """Roll back to a named release, or with None to the bundle built into the native app, in one step.

    What the channel served instead, stable and candidate, is withdrawn: its versions are blocked, so that devices which run
    them are moved even while the channel is paused. ``previous`` keeps what is older than ``target``.

    Raises:
        ConflictError: ``target`` was itself rolled back here, or its version stands there for another statement.
    """
    if target is not None:
        _refuse_blocked(state, target)
    served = [ref for ref in (state.stable, state.candidate.release if state.candidate else None) if ref is not None]
    gone = [ref.version for ref in served if target is None or not _is(state, ref, target)]
    if state.stable == target and state.candidate is None:
        return state
    older = state.previous[state.previous.index(target) + 1 :] if target in state.previous else state.previous
    blocked = (*state.blocked, *(version for version in gone if version not in state.blocked))
    return _next(state, stable=target, candidate=None, previous=older, blocked=blocked, withdrawn=gone[-1] if gone else None)


def pause(state: ChannelState) -> ChannelState:
    """Stop moving devices; those that have a bundle keep it."""
    return state if state.paused else _next(state, paused=True)


def unpause(state: ChannelState) -> ChannelState:
    """Let devices move again."""
    return _next(state, paused=False) if state.paused else state


def _next(state: ChannelState, **changes: object) -> ChannelState:
    return replace(state, serial=state.serial + 1, **changes)  # type: ignore[arg-type]


def _promoted(state: ChannelState, **changes: object) -> ChannelState:
    """Give the next state after going forward: what was rolled back before that is history."""
    return _next(state, withdrawn=None, **changes)


def _push(state: ChannelState) -> tuple[ReleaseRef | None, ...]:
    # A channel's very first state has nothing before it: its None says that no release was served yet, and falling back to
    # the built-in bundle is what happens anyway when `previous` runs out.
    if state.stable is None and not state.previous:
        return ()
    return (state.stable, *state.previous)[:MAX_PREVIOUS]


def _fall_back(state: ChannelState) -> ChannelState:
    for index, before in enumerate(state.previous):
        if before is None or before.version not in state.blocked:
            keep = state.candidate
            if keep is not None and before is not None and keep.release.version == before.version:
                keep = None
            return replace(state, stable=before, candidate=keep, previous=state.previous[index + 1 :])
    return replace(state, stable=None, previous=())


def _is(state: ChannelState, there: ReleaseRef | None, release: ReleaseRef) -> bool:
    if there is None or there.version != release.version:
        return False
    if there.statement != release.statement:
        raise ConflictError(
            f"version {release.version} already stands on this channel for other bytes",
            _subject(state),
            expected=f"statement {there.statement}",
            found=f"statement {release.statement}",
            remedy="publish under a new version",
        )
    return True


def _refuse_blocked(state: ChannelState, release: ReleaseRef) -> None:
    if release.version in state.blocked:
        raise ConflictError(
            f"release {release} was rolled back on this channel and is not served there again",
            _subject(state),
            remedy="publish the repaired app under a new version",
        )


def _subject(state: ChannelState) -> str:
    return f"channel {state.name} of {state.app}"
