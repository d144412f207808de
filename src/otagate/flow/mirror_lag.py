"""What is told of mirrors: how far each is behind, release by release and channel by channel."""

from __future__ import annotations

from dataclasses import dataclass, field

from otagate.channel.copies import PointerGap
from otagate.errors import ExitCode, OtagateError
from otagate.model import ChannelState, ReleaseRef
from otagate.store.interface import Store


@dataclass(frozen=True, slots=True)
class ReleaseGap:
    """A release that a mirror lacks.

    Attributes:
        version: Which.
        lacks: What of it, in words.
        problem: Why copying does not mend it, or "".
    """

    version: str
    lacks: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MirrorLag:
    """How far one mirror is behind.

    Attributes:
        url: The mirror.
        releases: Releases that it lacks.
        channels: Channels whose pointer there is not the one of the first store.
        error: Why it could not be looked at, or brought up, to the end; or None.
    """

    url: str
    releases: tuple[ReleaseGap, ...] = ()
    channels: tuple[PointerGap, ...] = ()
    error: OtagateError | None = None

    @property
    def is_in_step(self) -> bool:
        """Whether it has all that it should."""
        return not self.releases and not self.channels and self.error is None

    @property
    def problems(self) -> tuple[str, ...]:
        """What a person has to look at, one sentence each: not mended by copying."""
        found = [f"{one.version}: {one.problem}" for one in self.releases if one.problem]
        found += [f"channel {one.channel}: {one.problem}" for one in self.channels if one.problem]
        return (*found, str(self.error.what)) if self.error else tuple(found)

    @property
    def exit_code(self) -> ExitCode:
        """How a command that had to bring it up ends because of it."""
        if self.error is not None:
            return self.error.exit_code
        return ExitCode.VERIFICATION if self.problems else ExitCode.DONE

    def __str__(self) -> str:
        if self.error is not None:
            return f"not known: {self.error.what}"
        if self.is_in_step:
            return "in step"
        return f"{_count(len(self.releases), 'release')} and {_count(len(self.channels), 'channel')} behind"


@dataclass(slots=True)
class Findings:
    """What is known of a mirror so far, while it is being looked at."""

    mirror: Store
    releases: list[ReleaseGap] = field(default_factory=list)
    channels: list[PointerGap] = field(default_factory=list)
    error: OtagateError | None = None

    def lag(self) -> MirrorLag:
        """Give it as a value."""
        return MirrorLag(self.mirror.url, tuple(self.releases), tuple(self.channels), self.error)


def served(state: ChannelState) -> tuple[ReleaseRef, ...]:
    """Give the releases that devices can get from a channel as it is."""
    refs = (state.stable, state.candidate.release if state.candidate else None)
    return tuple(ref for ref in refs if ref is not None)


def fallback(state: ChannelState) -> tuple[ReleaseRef, ...]:
    """Give what a rollback would serve: the newest former release that is not blocked."""
    former = [ref for ref in state.previous if ref is None or ref.version not in state.blocked]
    return (former[0],) if former and former[0] is not None else ()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
