"""Copies of channel pointers in further stores: the same signed bytes, never newer and, when all goes well, never older.

Nothing is decided on a copy. Whoever serves devices from a mirror believes it because of its signature, and its serial tells
how far behind it is. A copy is read before the original: what moves the channel writes the original first, so a copy with a
higher serial than an original that was read later was not made by otagate, and is reported instead of written over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from otagate.channel.hosted import HostedChannels, SignedPointer
from otagate.errors import ConflictError, VerificationError
from otagate.model import ChannelName, ChannelState

_TRIES = 5


@dataclass(frozen=True, slots=True)
class PointerGap:
    """How far a copy is behind.

    Attributes:
        channel: Which channel.
        here: The original's serial; 0: there is no such channel.
        there: The copy's serial; 0: there is none; None: what stands there cannot be believed.
        problem: Why it is not mended by copying, or "".
    """

    channel: ChannelName
    here: int
    there: int | None
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the copy is not what the original is."""
        return bool(self.problem) or self.here != self.there


def compare(here: HostedChannels, there: HostedChannels, name: ChannelName) -> PointerGap:
    """See how far the copy of a channel is behind.

    Raises:
        VerificationError: The original does not hold.
    """
    return _look(here, there, name)[0]


def copy(here: HostedChannels, there: HostedChannels, name: ChannelName, prepare: Callable[[ChannelState], None]) -> PointerGap:
    """Bring the copy of a channel up to the original, by compare-and-swap, and read it back.

    Args:
        here: The store that decides.
        there: The mirror.
        name: Which channel.
        prepare: Called before each write with what is going to be said; it must see to it that the mirror has those releases.

    Returns:
        How far it was behind; with a problem when it still is.

    Raises:
        ConflictError: Others kept writing the copy.
        VerificationError: The original does not hold, or ``prepare`` says so.
    """
    gap, ours, token = _look(here, there, name)
    found = gap
    for _ in range(_TRIES):
        if ours is None or not gap.is_open or gap.problem:
            return gap if gap.problem else found
        prepare(ours.reading.state)
        with suppress(ConflictError):  # somebody else copies, too: what stands there now is looked at next
            there.adopt(name, ours.envelope, token)
        gap, ours, token = _look(here, there, name)
    if gap.is_open:
        raise ConflictError(
            "the copy of a channel pointer does not become what was written to it",
            f"channel {name}",
            expected=f"serial {gap.here}",
            found=f"serial {gap.there}",
            remedy="check that nothing else writes to that store or caches it, then: otagate mirror",
        )
    return found


def _look(
    here: HostedChannels, there: HostedChannels, name: ChannelName
) -> tuple[PointerGap, SignedPointer | None, str | None]:
    problem, copied = "", None
    try:
        copied = there.signed(name)
    except VerificationError as error:
        problem = f"{error.what}: find out who wrote it; remove it there, then: otagate mirror"
    ours = here.signed(name)
    serial = ours.reading.state.serial if ours else 0
    if problem:
        return PointerGap(name, serial, None, problem), ours, None
    behind = copied.reading.state.serial if copied else 0
    if behind > serial:
        problem = "the copy is newer than the original, which somebody put back: find out which is right"
    elif ours and copied and behind == serial and ours.envelope != copied.envelope:
        problem = "the copy has the original's serial and says something else: find out who wrote it"
    return PointerGap(name, serial, behind, problem), ours, copied.reading.token if copied else None
