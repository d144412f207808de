"""What stands in front of the store, and what is kept in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class CdnSpec:
    """What stands in front of the store and is told when something behind it changed. Any of them, or several.

    Attributes:
        cloudfront: Id of an Amazon CloudFront distribution.
        cloud_cdn: URL map of a Google Cloud CDN: ``projects/PROJECT/global/urlMaps/NAME``.
        front_door: Endpoint of an Azure Front Door:
            ``/subscriptions/…/resourceGroups/…/providers/Microsoft.Cdn/profiles/…/afdEndpoints/…``.
        webhook: Reference (``env:NAME`` or ``file:PATH``) to an address that gets the paths as JSON; it may hold a token.
        pointers: Devices, or an update server, read channel pointers through the CDN: after a move the public address is read
            until it shows the new pointer.
        wait: How long to wait for that.
    """

    cloudfront: str | None = None
    cloud_cdn: str | None = None
    front_door: str | None = None
    webhook: str | None = None
    pointers: bool = False
    wait: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class KeepSpec:
    """What ``prune`` leaves, besides all that a channel or a rollout names.

    Attributes:
        releases: The newest so many releases of each app.
        age: Releases younger than this.
        rollbacks: The last so many releases that each channel served, so that it can go back to them.
        grace: Nothing that was written within this time is removed, whatever it is.
        devices: What a device runs, or is to run, that was seen within this time; with ``telemetry``.
    """

    releases: int = 10
    age: timedelta = timedelta(days=30)
    rollbacks: int = 5
    grace: timedelta = timedelta(days=1)
    devices: timedelta = timedelta(days=30)
