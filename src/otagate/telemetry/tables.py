"""The tables of telemetry. Tokens and audit stand in tables of their own on the same ``METADATA``.

What clients say is bounded before it comes here; instants are whole seconds, or milliseconds where a name ends in ``_ms``.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from otagate.telemetry.fold import COUNTED

METADATA = MetaData()
"""All tables of the database, also those of other modules."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives: SQLite only does so for ``INTEGER``."""

META = Table(
    "meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Few single values: see :mod:`otagate.telemetry.meta`."""

RELEASES = Table(
    "releases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("app", Text, nullable=False),
    Column("version", Text, nullable=False),
    UniqueConstraint("app", "version", name="uq_releases_app_version"),
)
"""Releases that something was told about, by a short number."""

NAMES = Table(
    "names",
    METADATA,
    Column("app", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    sqlite_with_rowid=False,
)
"""Texts that devices chose and that counters are kept apart by: so many a kind, see :mod:`otagate.telemetry.names`."""

DEVICES = Table(
    "devices",
    METADATA,
    Column("key", LargeBinary, primary_key=True),  # first: it alone finds the row
    Column("app", Text, primary_key=True),
    Column("seen", Integer, nullable=False),  # hours since 1970
    Column("told_ms", BigInteger, nullable=False),  # of what stands here
    Column("running", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("plugin", Text, nullable=False),
    Column("native", Text, nullable=False),
    Column("is_test", Boolean, nullable=False),
    Index("ix_devices_seen", "seen"),
    sqlite_with_rowid=False,
)
"""What is known of each device; ``""``: not told."""

PROGRESS = Table(
    "progress",
    METADATA,
    Column("key", LargeBinary, primary_key=True),
    Column("release_id", Integer, primary_key=True),
    Column("marks", Integer, nullable=False),
    Column("started_ms", BigInteger),
    Column("verified_ms", BigInteger),
    Column("success_s", BigInteger),
    Column("bucket", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("plugin", Text, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("is_test", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""One row for each device and release; from ``bucket`` on it says where it is counted, and never changes."""

COUNTER_KEY = ("release_id", "bucket", "channel", "platform", "plugin", "weight", "is_test")
COUNTERS = Table(
    "counters",
    METADATA,
    Column("release_id", Integer, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("plugin", Text, primary_key=True),
    Column("weight", Integer, primary_key=True),
    Column("is_test", Boolean, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTED),
    sqlite_with_rowid=False,
)
"""Sums over the rows of ``progress``; moved in the same transaction as they are."""

ACTIVE_KEY = ("app", "hour", "channel", "running", "target", "platform", "is_test")
ACTIVE = Table(
    "active",
    METADATA,
    Column("app", Text, primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("running", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("is_test", Boolean, primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums over the rows of ``devices``: so many were last seen in that hour."""

HEARD = Table(
    "heard",
    METADATA,
    Column("app", Text, primary_key=True),
    Column("hour", Integer, primary_key=True),  # since 1970
    Column("channel", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""So many real devices were heard in that hour: moved when ``seen`` of a row of ``devices`` moves on to it.

Each counts once an hour, on the channel that it followed at its first word there. Unlike ``active`` it keeps what is over.
"""

ASSIGNMENTS = Table(
    "assignments",
    METADATA,
    Column("seq", Serial, primary_key=True),
    Column("app", Text, nullable=False),
    Column("device", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("channel", Text),  # NULL: taken back
    Column("at_s", BigInteger, nullable=False),
    UniqueConstraint("app", "device", "kind", name="uq_assignments_device"),
    Index("ix_assignments_at", "at_s"),
    sqlite_autoincrement=True,  # a number is never given twice
)
"""Channels of single devices; a change removes the row and makes one with a new number."""
