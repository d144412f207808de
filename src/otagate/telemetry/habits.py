"""What a fleet is like: when its devices are heard, and with which plugins. For rehearsals, not for gates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from otagate.telemetry.interface import MAX_HEARD, PLUGIN_SAMPLE, Heard, PluginUse
from otagate.telemetry.read import hour_at
from otagate.telemetry.tables import DEVICES, HEARD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def heard(connection: Connection, app: str, since: datetime, most: int = MAX_HEARD) -> list[Heard]:
    """See Telemetry.heard."""
    columns = HEARD.c
    asked = (
        select(columns.hour, columns.channel, columns.n)
        .where(columns.app == app, columns.hour >= hour_at(since))
        .order_by(columns.hour.desc(), columns.channel.desc())
        .limit(most)
    )
    found = [Heard(_EPOCH + timedelta(hours=hour), channel, n) for hour, channel, n in connection.execute(asked)]
    return found[::-1]


def plugins(connection: Connection, app: str, since: datetime, most: int = PLUGIN_SAMPLE) -> list[PluginUse]:
    """See Telemetry.plugins."""
    # Bounded work, whatever the database holds: the first rows by their key, which is a hash.
    first = select(DEVICES).order_by(DEVICES.c.key, DEVICES.c.app).limit(most).subquery()
    columns = first.c
    asked = (
        select(columns.channel, columns.plugin, func.count())
        .where(columns.app == app, columns.seen >= hour_at(since), columns.is_test.is_(False))
        .group_by(columns.channel, columns.plugin)
        .order_by(columns.channel, columns.plugin)
    )
    return [PluginUse(channel, plugin, n) for channel, plugin, n in connection.execute(asked)]
