"""Which channel a device follows. Pure.

An operator's override wins, then what the device chose, then the default channel. Devices can only choose channels that the
policy opens to them (``self_set``).
"""

from __future__ import annotations

from collections.abc import Mapping

from otagate.model import FULL_WEIGHT, ChannelState
from otagate.server.answers import Refusal
from otagate.server.facts import DeviceRequest
from otagate.server.interface import AppView, ChannelView
from otagate.server.replies import Kind
from otagate.server.versions import AFTER_STRAYS, Plugin

_FIRST_WITH_LOCAL_CHOICE: Mapping[int, Plugin] = {5: (5, 34, 0), 6: (6, 34, 0), 7: (7, 34, 0), **AFTER_STRAYS}
"""By major from which on a device keeps its chosen channel itself (others: all of it). Source: plugin 5/6/7.34."""


def follow(view: AppView, request: DeviceRequest, override: str | None, chosen: str | None) -> ChannelView | Refusal:
    """Find the channel that a device follows: an operator's override, its own choice, the default.

    A choice counts when devices may choose that channel. Any other name, of a private channel as well as of none, is not
    listened to: the device follows the default channel, and cannot find out which channels there are. So closing a beta
    brings its devices home, and a name that a plugin once stored strands nobody.
    """
    if override is not None:
        found = view.channels.get(override)
        return found if found is not None else _unread("the channel that was set for this device cannot be read")
    default = view.rules.default_channel
    asked = request.default_channel if keeps_choice(request.plugin) else chosen or request.default_channel
    if asked and asked != default:
        rules = view.rules.channels.get(asked)
        if rules is not None and rules.self_set:
            found = view.channels.get(asked)
            return found if found is not None else _unread("the channel that was chosen cannot be read")
        if default is None:
            return Refusal(
                Kind.BLOCKED, "cannot_update_via_private_channel", "the channel is not open to devices, or not there"
            )
    found = view.channels.get(default) if default is not None else None
    return found if found is not None else Refusal(Kind.FAILED, "no_channel", "there is no channel for this device")


def keeps_choice(plugin: Plugin) -> bool:
    """Tell whether a plugin keeps the device's chosen channel itself and sends it with every request."""
    return plugin >= _FIRST_WITH_LOCAL_CHOICE.get(plugin[0], (0, 0, 0))


def weight_of(state: ChannelState, version: str) -> int:
    """Give the share of a channel, in basis points, that is exposed to a release; 0 when the channel does not name it."""
    if state.candidate is not None and state.candidate.release.version.value == version:
        return state.candidate.weight.bps
    return FULL_WEIGHT if state.stable is not None and state.stable.version.value == version else 0


def is_open(view: AppView, channel: str) -> bool:
    """Tell whether devices may choose a channel. A private one and none at all are not told apart."""
    rules = view.rules.channels.get(channel)
    return rules is not None and rules.self_set and channel in view.channels


def _unread(message: str) -> Refusal:
    return Refusal(Kind.FAILED, "misconfigured_channel", message)
