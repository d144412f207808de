"""Whether a release may be published, or go to a channel, at all: by what it says of itself. Pure."""

from __future__ import annotations

from datetime import datetime

from otagate._clock import to_text
from otagate.errors import UsageError, VerificationError
from otagate.model import AppId, ChannelName, Release


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


def refuse_unpublishable(release: Release, app: AppId, now: datetime) -> None:
    """Refuse to publish a release of another app, or one whose time is over.

    Raises:
        UsageError: It is one of these.
    """
    if release.app != app:
        raise UsageError(
            "a release of another app cannot be published here",
            f"release {release.version} of {app}",
            expected=f"app {app}",
            found=f"app {release.app}",
        )
    if release.expires is not None and release.expires <= now:
        raise UsageError(
            "the release has expired already",
            f"release {release.version} of {app}",
            found=f"expires {to_text(release.expires)}",
            remedy="give it a longer life (trust.release_ttl in the policy), or check this machine's clock",
        )
