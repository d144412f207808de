"""Which release a device gets: a pure function of the pointer, the device id and what the device runs.

An update server, a function at the edge and a test must agree on it, so the bytes are fixed here.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum

from otagate.model import FULL_WEIGHT, AppId, ChannelState, ReleaseRef


class Answer(Enum):
    """What a device is told when it is not told a release."""

    KEEP = "keep"
    """Nothing to do: the device goes on running what it runs."""
    BUILT_IN = "built_in"
    """Run the bundle that was built into the native app."""


def bucket(seed_hex: str, app: AppId, device_id: str) -> int:
    """Place a device in a ramp: 0 to 9999, uniform, and the same for ever with the same seed.

    The device is in when its bucket is below the weight in basis points, so one that is in stays in while the weight grows.
    The value is HMAC-SHA256 with the 16 bytes of the seed as key, over the app id in UTF-8 followed directly by the device
    id, lower-cased, in UTF-8; of the digest the first 8 bytes as a big-endian unsigned number, modulo 10000 (the bias of the
    modulo is below 1e-15).

    Args:
        seed_hex: The candidate's seed, 32 hex digits.
        app: The app.
        device_id: The plugin's device id, a UUID in either case. It comes from outside and may be any text.

    **Source:** DESIGN §6; HMAC is RFC 2104.
    """
    message = app.value.encode() + device_id.lower().encode("utf-8", "replace")
    digest = hmac.new(bytes.fromhex(seed_hex), message, hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") % FULL_WEIGHT


def choose(state: ChannelState, device_id: str, current: str | None) -> ReleaseRef | Answer:
    """Decide what a device that follows this channel is to run.

    The candidate when the device is in its share, otherwise stable. A blocked release is never given. While the channel is
    paused a device is told nothing new, with one exception: one that runs a blocked release is moved off it, to stable,
    because a rollback of a paused channel must reach the phones that have the bad bundle.

    Args:
        state: What the verified pointer says. Whether it has expired is the caller's to check.
        device_id: See :func:`bucket`.
        current: The version that the device runs, or None when it runs the built-in bundle.

    Returns:
        A release (also when the device runs it already), or an :class:`Answer`.
    """
    runs_blocked = current is not None and any(version.value == current for version in state.blocked)
    if state.paused and runs_blocked:
        return _unblocked(state)
    target = _of_cohort(state, device_id)
    if state.paused and current != (None if target is Answer.BUILT_IN else str(target)):
        return Answer.KEEP
    return target


def _of_cohort(state: ChannelState, device_id: str) -> ReleaseRef | Answer:
    candidate = state.candidate
    if (
        candidate is not None
        and candidate.release.version not in state.blocked
        and bucket(candidate.seed, state.app, device_id) < candidate.weight.bps
    ):
        return candidate.release
    return _unblocked(state)


def _unblocked(state: ChannelState) -> ReleaseRef | Answer:
    # A stable release that is blocked cannot come out of the transitions; a pointer that says so is still not obeyed.
    if state.stable is None or state.stable.version in state.blocked:
        return Answer.BUILT_IN
    return state.stable
