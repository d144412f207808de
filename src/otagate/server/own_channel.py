"""A device's own channel: the answers of ``/channel_self``. Pure.

Plugins from 5.34, 6.34, 7.34 and 8 on keep the choice on the device and send it with every request: for them the server only
says whether a channel may be chosen. For older ones it keeps the choice (``Reply.assign``).

A private channel and none at all get the same answer, so nobody can find out which private channels there are.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from otagate.server import replies
from otagate.server.answers import Refusal
from otagate.server.facts import DeviceRequest
from otagate.server.following import follow, is_open, keeps_choice
from otagate.server.interface import AppView, Assign, Reply
from otagate.server.replies import OK


def listed(view: AppView) -> list[dict[str, Any]]:
    """Answer a GET: the default channel and those that devices may choose."""
    default = view.rules.default_channel
    return [
        {"id": _channel_id(name), "name": name, "public": name == default, "allow_self_set": is_open(view, name)}
        for name in sorted(view.channels)
        if name == default or is_open(view, name)
    ]


def told(view: AppView, request: DeviceRequest, override: str | None, chosen: str | None) -> Reply:
    """Answer a PUT: the channel that the device follows."""
    followed = follow(view, request, override, chosen)
    if isinstance(followed, Refusal):
        return Reply(OK, replies.problem("channel_not_found", "there is no channel for this device"), note="channel_not_found")
    name = followed.state.name.value
    status = "default" if override is None and name == view.rules.default_channel else "override"
    return Reply(OK, {"channel": name, "status": status, "allowSet": is_open(view, name)}, note="get_channel")


def unset(request: DeviceRequest, key: bytes) -> Reply:
    """Answer a DELETE: the device takes its choice back."""
    assign = None if keeps_choice(request.plugin) else Assign(request.app, key, None)
    return Reply(OK, {"status": "ok"}, assign=assign, note="unset_channel")


def choose(view: AppView, request: DeviceRequest, key: bytes, override: str | None, channel: Any) -> Reply:
    """Answer a POST: the device chooses ``channel``, which is anything that stood in the body."""
    if channel is None or channel == "":
        return Reply(OK, replies.problem("missing_channel", "channel is missing"), note="missing_channel")
    if type(channel) is not str:
        return replies.bad("invalid_request", "channel has to be a text")
    if override is not None:
        message = "an operator set the channel of this device"
        return Reply(OK, replies.problem("cannot_override", message), note="cannot_override")
    is_kept_there = keeps_choice(request.plugin)
    if channel == view.rules.default_channel and channel in view.channels:
        # Back to the default: what follows it must move along when the operator makes another channel the default.
        assign = None if is_kept_there else Assign(request.app, key, None)
        answer = {"status": "ok", "allowSet": is_open(view, channel), "unset": True}
        return Reply(OK, answer, assign=assign, note="set_channel")
    if not is_open(view, channel):
        message = "there is no channel of this name that devices may choose"
        return Reply(OK, replies.problem("channel_self_set_not_allowed", message), note="channel_self_set_not_allowed")
    assign = None if is_kept_there else Assign(request.app, key, channel)
    return Reply(OK, {"status": "ok", "allowSet": True}, assign=assign, note="set_channel")


@lru_cache(1024)
def _channel_id(name: str) -> int:
    # The plugin wants a number; channels have none. 31 bits fit every integer type of both platforms.
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4]) & 0x7FFF_FFFF
