"""Whether a release may go to a channel at all, by what its own signed statement says. Pure."""

from __future__ import annotations

from datetime import datetime

from otagate.errors import VerificationError
from otagate.model import ChannelName, Release


def refuse_unfit(release: Release, channel: ChannelName, now: datetime) -> None:
    """Refuse a release that was not made for the channel, or whose time is over.

    Raises:
        VerificationError: It is unfit.
    """
    if release.channels and channel not in release.channels:
        raise VerificationError(
            "this release may not go to this channel",
            f"{release.version} of {release.app}",
            expected=f"one of {', '.join(map(str, release.channels))}",
            found=str(channel),
            remedy="publish it for this channel under a new version",
        )
    if release.expires is not None and release.expires <= now:
        raise VerificationError(
            "this release has expired",
            f"{release.version} of {release.app}",
            expected="a release whose time is not over",
            found=f"expired at {release.expires:%Y-%m-%d %H:%M} UTC",
            remedy="publish it again under a new version",
        )
