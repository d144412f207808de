"""``GET /api/v1/...``: counts of devices for gates, and which versions are in use."""

from __future__ import annotations

import dataclasses
from typing import Any

from otagate import _clock
from otagate.server.admin.calls import Call, Outcome, World
from otagate.server.admin.refusals import bad, no_channel
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.model import BUCKET_S, VERIFY_BOUNDS_S, Counts


def metrics(world: World, call: Call) -> Outcome:
    """Count the devices of one release; ``start`` and ``end`` are rounded down to buckets."""
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
    asked = {
        "app": query.app,
        "release": query.release,
        "channel": query.channel,
        "platform": query.platform,
        "plugin": query.plugin,
        "test": query.test,
        "start": _clock.to_text(start),
        "end": _clock.to_text(end),
    }
    body = {
        "schema": "otagate/counts/v1",
        **asked,
        "bucket_s": BUCKET_S,
        "verify_bounds_s": list(VERIFY_BOUNDS_S),
        "counts": counts_data(world.telemetry.counts(query)),
    }
    return Outcome(body, {"release": query.release, "channel": query.channel})


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
