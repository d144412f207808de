"""What selection can say: a release, the built-in bundle, or a refusal. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otagate.model import Release
from otagate.server.replies import BUILTIN, Kind


@dataclass(frozen=True, slots=True)
class Serve:
    """Give it this release.

    Attributes:
        channel: The channel that the device follows.
        weight_bps: The share of the channel that is exposed to the release.
        checksum: In the encoding that the device's plugin reads.
    """

    release: Release
    channel: str
    weight_bps: int
    checksum: str

    @property
    def target(self) -> str:
        """What the channel names for the device."""
        return self.release.version.value


@dataclass(frozen=True, slots=True)
class ToBuiltIn:
    """Send it back to its built-in bundle."""

    channel: str

    @property
    def target(self) -> str:
        """What the channel names for the device."""
        return BUILTIN


@dataclass(frozen=True, slots=True)
class Refusal:
    """Give it nothing.

    Attributes:
        kind: How the plugin takes it.
        error: The protocol's code.
        message: For people.
        extras: Further fields of the answer.
        channel: The channel that the device follows; ``""``: none.
        target: The version that the channel names for the device, ``builtin``, or None when that is not known.
    """

    kind: Kind
    error: str
    message: str
    extras: Mapping[str, Any] = field(default_factory=dict)
    channel: str = ""
    target: str | None = None


Choice = Serve | ToBuiltIn | Refusal
