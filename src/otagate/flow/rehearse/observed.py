"""A fleet like the one that an update server knows: size, channels, platforms. It does not tell when apps are opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from otagate.errors import NotFoundError, UsageError
from otagate.policy.model.policy import Policy
from otagate.telemetry.interface import Active

SEEN_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a server knows of the devices that it saw lately.

    Attributes:
        devices: How many.
        follows: Devices by channel; without a name those of the default channel.
        platforms: Devices by platform.
    """

    devices: int
    follows: Mapping[str, float]
    platforms: Mapping[str, float]


def observe(policy: Policy, environ: Mapping[str, str], now: datetime, root: Path) -> Observed:
    """Ask the policy's telemetry.

    Raises:
        UsageError: The policy says nowhere where telemetry is.
        NotFoundError: It knows no device.
        OtagateError: It cannot be read.
    """
    if policy.telemetry is None:
        remedy = "add `telemetry` to the policy, or say --devices and --follow"
        raise UsageError("the policy names no telemetry", policy.file.name, remedy=remedy)
    from otagate.gate.sources.telemetry_reader import open_reader  # noqa: PLC0415 - may bring httpx or SQL

    reader = open_reader(policy.telemetry, root=root, environ=environ)
    found = sum_up(reader.active(str(policy.app), now - SEEN_WITHIN), policy.server.default_channel or "")
    if not found.devices:
        raise NotFoundError(
            "telemetry knows no device of this app",
            str(policy.app),
            expected="a device that was seen within 7 days",
            remedy="leave --fleet-from out, and say --devices",
        )
    return found


def sum_up(rows: Iterable[Active], default_channel: str) -> Observed:
    """Count devices by channel and by platform."""
    follows: Counter[str] = Counter()
    platforms: Counter[str] = Counter()
    for row in rows:
        follows[row.channel or default_channel] += row.devices
        platforms[row.platform] += row.devices
    return Observed(follows.total(), dict(follows), dict(platforms))
