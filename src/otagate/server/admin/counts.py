"""``GET /api/v1/...``: counts of devices for gates, and which versions are in use."""

from __future__ import annotations

import dataclasses
from typing import Any

from otagate import _clock
from otagate.server.admin.calls import Call, Outcome, World
from otagate.server.admin.refusals import bad, no_channel
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import CountQuery, SideBySide
from otagate.telemetry.model import BUCKET_S, VERIFY_BOUNDS_S, Counts


def metrics(world: World, call: Call) -> Outcome:
    """Count the devices of one release; ``start`` and ``end`` are rounded down to buckets."""
    query = _query(call)
    body = {
        "schema": "otagate/counts/v1",
        **_asked(query),
        "bucket_s": BUCKET_S,
        "verify_bounds_s": list(VERIFY_BOUNDS_S),
        "counts": counts_data(world.telemetry.counts(query)),
    }
    return Outcome(body, {"release": query.release, "channel": query.channel})


def side_by_side(world: World, call: Call) -> Outcome:
    """Count the devices of two releases, by time and kind of device; where either has none there is no row."""
    query, control = _query(call), call.params.version("control")
    if control == query.release:
        raise bad("invalid_control", "control is another release")
    body = {
        "schema": "otagate/side-by-side/v1",
        **_asked(query),
        "control": control,
        "columns": list(PLAIN),
        "rows": [_row(row) for row in world.telemetry.side_by_side(query, control)],
    }
    return Outcome(body, {"release": query.release, "control": control, "channel": query.channel})


def _row(row: SideBySide) -> list[Any]:
    # Lists, not objects: there may be thousands.
    sides = ([getattr(side, name) for name in PLAIN] for side in (row.release, row.control))
    return [_clock.to_text(row.start), row.platform, row.plugin, *sides]


def _query(call: Call) -> CountQuery:
    """Read which devices to count; refuse a channel that the token is not for."""
    params = call.params
    start, end = params.period()
    query = CountQuery(
        app=call.app,
        release=params.version("release"),
        start=start,
        end=end,
        channel=params.channel(),
        platform=params.platform(),
        plugin=params.plugin(),
        test=params.flag("test"),
    )
    if query.channel is None:
        _refuse_limited(call, "name a channel")
    elif not call.scope.channels.allows(query.channel):
        raise no_channel()
    return query


def _asked(query: CountQuery) -> dict[str, Any]:
    return {
        "app": query.app,
        "release": query.release,
        "channel": query.channel,
        "platform": query.platform,
        "plugin": query.plugin,
        "test": query.test,
        "start": _clock.to_text(query.start),
        "end": _clock.to_text(query.end),
    }


def releases(world: World, call: Call) -> Outcome:
    """Give the versions that devices were first seen with in a time, newest first."""
    _refuse_limited(call)
    start, end = call.params.period()
    found = world.telemetry.releases(call.app, start, end)
    return Outcome({"schema": "otagate/releases/v1", "app": call.app, "releases": found})


def active(world: World, call: Call) -> Outcome:
    """Give the real devices that were seen since an instant, by what they run."""
    since = call.params.required_instant("since")
    found = [
        {"channel": row.channel, "release": row.release, "platform": row.platform, "devices": row.devices}
        for row in world.telemetry.active(call.app, since)
        if call.scope.channels.allows(row.channel)
    ]
    return Outcome({"schema": "otagate/active/v1", "app": call.app, "since": _clock.to_text(since), "active": found})


def heard(world: World, call: Call) -> Outcome:
    """Give how many real devices were heard in each hour since an instant."""
    since = call.params.required_instant("since")
    found = [
        {"hour": _clock.to_text(row.at), "channel": row.channel, "devices": row.devices}
        for row in world.telemetry.heard(call.app, since)
        if call.scope.channels.allows(row.channel)
    ]
    return Outcome({"schema": "otagate/heard/v1", "app": call.app, "since": _clock.to_text(since), "heard": found})


def plugins(world: World, call: Call) -> Outcome:
    """Give the plugins of real devices that were seen since an instant."""
    since = call.params.required_instant("since")
    found = [
        {"channel": row.channel, "plugin": row.plugin, "devices": row.devices}
        for row in world.telemetry.plugins(call.app, since)
        if call.scope.channels.allows(row.channel)
    ]
    return Outcome({"schema": "otagate/plugins/v1", "app": call.app, "since": _clock.to_text(since), "plugins": found})


def in_use(world: World, call: Call) -> Outcome:
    """Give every version that a device seen since an instant runs or is to run."""
    _refuse_limited(call)
    since = call.params.required_instant("since")
    found = sorted(world.telemetry.in_use(call.app, since))
    return Outcome({"schema": "otagate/in-use/v1", "app": call.app, "since": _clock.to_text(since), "releases": found})


def counts_data(counts: Counts) -> dict[str, Any]:
    """Write counts as JSON: the fields of Counts, its instant as RFC 3339."""
    found: dict[str, Any] = {field.name: getattr(counts, field.name) for field in dataclasses.fields(counts)}
    newest = counts.newest_at
    return {**found, "verify": list(counts.verify), "newest_at": None if newest is None else _clock.to_text(newest)}


def _refuse_limited(call: Call, way_out: str | None = None) -> None:
    """Refuse what tells of all channels to a token that is limited to some; its app and verb are right, so it may know why."""
    if call.scope.channels.is_all:
        return
    if way_out:
        raise bad("missing_channel", f"this token is limited to channels: {way_out}")
    raise bad("channel_limited", "this token is limited to channels, and this tells of all of them")
