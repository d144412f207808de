"""Where a commit goes: the first branch rule that matches its branch, tag or pull request. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from otagate._text import harmless
from otagate.errors import PolicyError
from otagate.model import ChannelName, Context
from otagate.policy.globs import RefKind, kind_of, matches, slug
from otagate.policy.model.policy import Policy
from otagate.policy.model.tracks import BranchRule, TrackSpec

_PLACEHOLDER = re.compile(r"\{(number|branch)\}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule makes of a commit: exactly one of ``track`` and ``channel`` is set.

    Attributes:
        rule: The rule that decided.
        ref: What it matched: a branch, ``tags/<tag>`` or ``pulls/<n>``. Untrusted text.
        track: The track, already without the phases before ``start_at``.
        channel: The channel that gets the release at once, with placeholders filled.
    """

    rule: BranchRule
    ref: str
    track: TrackSpec | None = None
    channel: ChannelName | None = None


def resolve(policy: Policy, context: Context) -> Target | None:
    """Find where a commit goes, or give None when no rule matches: there is nothing to do.

    A pattern that begins with ``tags/`` or ``pulls/`` is compared with tags or pull requests only, every other one with
    branches only: nobody reaches a tag's rule by naming a branch ``tags/…``.

    Raises:
        PolicyError: A channel template makes no channel name, or the name of a channel that the policy gives to others.
    """
    ref = context.ref
    if ref is None:
        return None
    kind = _kind(context)
    for rule in policy.branches:
        if kind_of(rule.pattern) is kind and matches(rule.pattern, ref):
            if rule.track is not None:
                return Target(rule, ref, track=starting_at(policy.tracks[rule.track], rule.start_at))
            return Target(rule, ref, channel=_channel(policy, rule, context))
    return None


def starting_at(track: TrackSpec, phase: str | None) -> TrackSpec:
    """Give a track without the phases before ``phase``; the track itself for None. The phase must be there."""
    if phase is None:
        return track
    names = [spec.name for spec in track.phases]
    return replace(track, phases=track.phases[names.index(phase) :])


def _kind(context: Context) -> RefKind:
    if context.pull_request is not None:
        return RefKind.PULL
    return RefKind.TAG if context.tag is not None else RefKind.BRANCH


def _channel(policy: Policy, rule: BranchRule, context: Context) -> ChannelName:
    template = rule.channel or ""
    if not _PLACEHOLDER.search(template):
        return ChannelName(template)
    # Of a pull request, its own branch: everybody who can open one chooses that name.
    branch = context.source_branch if context.pull_request is not None else context.branch
    filled = {"number": str(context.pull_request or ""), "branch": slug(branch) if branch else ""}
    name = _PLACEHOLDER.sub(lambda match: filled[match[1]], template)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name, re.ASCII) or "" in _used(template, filled):
        raise _refused(rule, name, "it is no channel name, or what the template needs is not known here")
    if name in _fixed_channels(policy):
        raise _refused(rule, name, "another rule or a track uses this channel; a branch name must not lead there")
    return ChannelName(name)


def _used(template: str, filled: dict[str, str]) -> list[str]:
    return [filled[match[1]] for match in _PLACEHOLDER.finditer(template)]


def _fixed_channels(policy: Policy) -> set[str]:
    """Name the channels that the policy names without placeholders."""
    named = {str(phase.channel) for track in policy.tracks.values() for phase in track.phases}
    return named | {rule.channel for rule in policy.branches if rule.channel and not _PLACEHOLDER.search(rule.channel)}


def _refused(rule: BranchRule, name: str, why: str) -> PolicyError:
    return PolicyError(
        "a branch rule's channel cannot be used",
        subject=f'branches."{harmless(rule.pattern)}".channel',
        expected="a channel name of its own, of 1 to 64 letters, digits, '.', '_' and '-'",
        found=f"'{harmless(name)}' from '{harmless(rule.channel or '')}': {why}",
        remedy="give the template a fixed part, such as pr-{number}",
    )
