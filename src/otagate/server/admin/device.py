"""``GET|POST|DELETE /device``: single devices and their overrides, in the shapes of Capgo's public API.

**Source:** https://capgo.app/docs/public-api/devices/ for names and errors. Only hashes of device ids are stored: a list gives
``key:<hex>`` in their place, which every call here takes back as a ``device_id``. What is not stored (custom id, version of the
operating system, country) is empty or null.
"""

from __future__ import annotations

from typing import Any

from otagate import _clock
from otagate.server.admin.calls import Call, Change, Outcome, World
from otagate.server.admin.refusals import bad, no_channel, no_device
from otagate.telemetry.interface import DeviceRow

PAGE = 50
LONGEST_PAGE = 1_000
_OK = {"status": "ok"}


def read(world: World, call: Call) -> Outcome:
    """Give one device, or a page of them by key."""
    key = call.params.device(call.app, world.device_key)
    if key is None:
        return _page(world, call)
    row = world.telemetry.device(call.app, key)
    audit = {"device": key.hex()}
    name = call.params.text("device_id") or ""
    if row is not None:
        _refuse_hidden(call, row.override or row.channel)
        return Outcome(_shown(row, name), audit)
    override, chosen = world.choices.of(call.app, key)
    if override is None and chosen is None:
        raise no_device()
    _refuse_hidden(call, override or chosen or "")
    return Outcome(_never_seen(call.app, name, override, chosen), audit)


def put(world: World, call: Call) -> Outcome:
    """Give a device an override, known or not; a device that asks for the first time finds it."""
    key = _named(world, call)
    if call.params.text("version_id") is not None:
        raise bad("invalid_version_id", "a device cannot be given a version; give it a channel")
    channel = call.params.channel()
    if channel is None:
        raise bad("missing_channel", "channel is missing; DELETE takes an override back")
    # A channel that the token's limit hides and one that is not there look the same.
    if not call.scope.channels.allows(channel) or channel not in call.view.channels:
        raise no_channel()
    if channel == call.view.rules.default_channel:
        raise bad("public_channel_override", "devices follow this channel anyway; DELETE takes an override back")
    _refuse_others_override(world, call, key)
    return Outcome(_OK, {"device": key.hex(), "channel": channel}, Change(key, channel))


def drop(world: World, call: Call) -> Outcome:
    """Take an override back; that there is none is fine."""
    key = _named(world, call)
    _refuse_others_override(world, call, key)
    return Outcome(_OK, {"device": key.hex()}, Change(key, None))


def _named(world: World, call: Call) -> bytes:
    key = call.params.device(call.app, world.device_key)
    if key is None:
        raise bad("missing_device_id_or_app_id", "device_id is missing")
    return key


def _refuse_hidden(call: Call, channel: str) -> None:
    """Hide devices of channels that the token's limit leaves out."""
    if not call.scope.channels.allows(channel):
        raise no_device()


def _refuse_others_override(world: World, call: Call, key: bytes) -> None:
    """Keep a token that is limited to some channels from undoing an override to another."""
    if call.scope.channels.is_all:
        return
    row = world.telemetry.device(call.app, key)
    override = world.choices.of(call.app, key)[0] if row is None else row.override
    if override is not None and not call.scope.channels.allows(override):
        raise no_device()


def _page(world: World, call: Call) -> Outcome:
    params = call.params
    if params.flag("customIdMode"):
        raise bad("unsupported_parameter", "custom ids are not stored")
    if params.text("order") is not None:
        raise bad("unsupported_parameter", "devices come in the order of their keys")
    limit, since = params.whole("limit", PAGE, LONGEST_PAGE), params.instant("updated_at")
    rows = world.telemetry.devices(call.app, params.cursor(), limit + 1)
    shown = [
        _shown(row, _key_name(row.key))
        for row in rows[:limit]
        if call.scope.channels.allows(row.override or row.channel) and (since is None or row.seen > since)
    ]
    has_more = len(rows) > limit
    cursor = _key_name(rows[limit - 1].key) if has_more else None
    return Outcome({"data": shown, "nextCursor": cursor, "hasMore": has_more}, {"devices": len(shown)})


def _key_name(key: bytes) -> str:
    return f"key:{key.hex()}"


def _shown(row: DeviceRow, name: str) -> dict[str, Any]:
    """Write a device. Emulators and development builds are stored as one fact: of a test device neither is known by itself."""
    found = {
        "updated_at": _clock.to_text(row.seen),
        "device_id": name.lower(),
        "custom_id": "",
        "is_prod": None if row.is_test else True,
        "is_emulator": None if row.is_test else False,
        "is_test": row.is_test,
        "install_source": None,
        "version_name": row.running,
        "target": row.target,
        "app_id": row.app,
        "platform": row.platform,
        "plugin_version": row.plugin,
        "os_version": "",
        "version_build": row.native,
        "key_id": None,
        "country_code": None,
        "followed_channel": row.channel,
        "chosen_channel": row.chosen,
    }
    return found if row.override is None else {**found, "channel": row.override}


def _never_seen(app: str, name: str, override: str | None, chosen: str | None) -> dict[str, Any]:
    """Write a device of which nothing is known but its channel."""
    found = {
        "updated_at": None,
        "device_id": name.lower(),
        "custom_id": "",
        "is_prod": None,
        "is_emulator": None,
        "is_test": None,
        "install_source": None,
        "version_name": None,
        "target": None,
        "app_id": app,
        "platform": None,
        "plugin_version": "",
        "os_version": "",
        "version_build": "",
        "key_id": None,
        "country_code": None,
        "followed_channel": None,
        "chosen_channel": chosen,
    }
    return found if override is None else {**found, "channel": override}
