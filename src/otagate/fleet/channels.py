"""Joining a channel from a button in the app: ``listChannels``, ``setChannel``, ``getChannel``.

**Source:** the plugin's channel calls at its tags; before 5.34, 6.34 and 7.34 the server keeps the choice, then the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otagate.fleet.interface import Response

if TYPE_CHECKING:
    from otagate.fleet.device import Device

_OK = range(200, 300)


def choose_channel(device: Device) -> None:
    """Let a device press the button, if it is one of those that do, and the channel is offered to it."""
    config = device.world.config
    if not config.chooses:
        return
    drawn, name = device.chance.random(), ""
    for channel, share in config.chooses.items():
        if drawn < share:
            name = channel
            break
        drawn -= share
    if not name or name not in _offered(device):
        return
    answer = _call(device, "POST", {**device.info(), "channel": name}, follows=name)
    if answer is not None and is_done(answer) and device.profile.plugin.has("keeps_channel"):
        # The default channel is no choice: what follows it moves along when another one becomes the default.
        device.channel = device.built_for if answer.body.get("unset") else name
    _call(device, "PUT", device.info())


def leave_channel(device: Device) -> None:
    """Let a device that chose take it back now and then: on the device, or with older plugins on the server."""
    config = device.world.config
    if not config.leaves or device.followed == device.own_channel or device.chance.random() >= config.leaves:
        return
    if device.profile.plugin.has("keeps_channel"):
        device.channel = device.built_for
        device.followed = device.own_channel
        return
    _call(device, "DELETE", device.info(), follows=device.own_channel)


def is_done(answer: Response) -> bool:
    """Tell whether a call of ``channel_self`` did what it was asked."""
    return answer.status in _OK and isinstance(answer.body, dict) and "error" not in answer.body


def _offered(device: Device) -> set[str]:
    answer = _call(device, "GET", device.info())
    if answer is None or answer.status not in _OK or not isinstance(answer.body, list):
        return set()
    entries = [entry for entry in answer.body if isinstance(entry, dict)]
    # One id that is no number, and the plugin throws the whole list away.
    if len(entries) < len(answer.body) or any(type(entry.get("id")) is not int for entry in entries):
        return set()
    return {str(entry.get("name")) for entry in entries if entry.get("allow_self_set")}


def _call(device: Device, method: str, body: dict[str, Any], follows: str | None = None) -> Response | None:
    """Call; ``follows`` is the channel that the device follows from now on when the call did what it asked."""
    if device.gate.is_shut(device.now):
        return None
    url = f"{device.world.config.base}/channel_self"
    exchange = device.world.network.request(method, url, body, at=device.now, chance=device.chance)
    kept = exchange.answer if device.profile.plugin.has("keeps_channel") else exchange.given
    if follows is not None and kept is not None and is_done(kept):
        device.followed = follows
    if exchange.answer is not None:
        device.gate.heed(exchange.answer, device.now)
    return exchange.answer
