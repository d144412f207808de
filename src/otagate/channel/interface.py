"""The distribution port: what a channel names, and moving it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from otagate.model import ChannelName, ChannelState


@dataclass(frozen=True, slots=True)
class ChannelReading:
    """A channel as read and verified.

    Attributes:
        state: What it says.
        token: Names this state for :meth:`Channels.move`.
        issued: When it was written.
        expires: After this instant devices must not be served from it.
    """

    state: ChannelState
    token: str
    issued: datetime
    expires: datetime


class Channels(Protocol):
    """All channels of one app at one distributor. The port does not know Capgo's or any other distributor's words.

    Errors besides those named: ``AccessError``, ``UnavailableError``.
    """

    def read(self, name: ChannelName) -> ChannelReading | None:
        """Read a channel and verify it, or give None when there is none yet.

        An expired pointer is returned: whoever serves devices must look at ``expires``; a rollback must still work.

        Raises:
            VerificationError: It is not signed by a trusted key, or does not describe this app and channel.
        """
        ...

    def move(self, state: ChannelState, token: str | None, now: datetime) -> ChannelReading:
        """Write the next state over the one that ``token`` names, read it back and verify it.

        A ``token`` of None says that the channel must not exist yet.

        ``state.serial`` must be one more than the serial that was read (1 for a new channel).

        Raises:
            ConflictError: Somebody else moved the channel since. A swap whose answer was lost, but which was
                ours, is a success.
            VerificationError: What was read back is not what was written.
        """
        ...

    def names(self) -> list[ChannelName]:
        """List the channels, sorted; for people."""
        ...
