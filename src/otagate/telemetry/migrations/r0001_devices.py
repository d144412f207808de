"""The first schema: devices, their progress, counters, active devices, channels of single devices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COUNTED = (
    *("devices", "offered", "pending", "success", "network", "integrity", "boot", "refusal"),
    *("ran", "crashed", "errored", "adopted_24h"),
    *(f"verify_{at}" for at in range(16)),
)
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _small_tables()
    _devices()
    _progress()
    _sums()
    op.create_table(
        "assignments",
        sa.Column("seq", _SERIAL, primary_key=True),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("device", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("channel", sa.Text),
        sa.Column("at_s", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("app", "device", "kind", name="uq_assignments_device"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assignments_at", "assignments", ["at_s"])


def _small_tables() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.UniqueConstraint("app", "version", name="uq_releases_app_version"),
    )
    op.create_table(
        "names",
        sa.Column("app", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )


def _devices() -> None:
    op.create_table(
        "devices",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("app", sa.Text, primary_key=True),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("running", "target", "channel", "platform", "plugin", "native")
        ),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_devices_seen", "devices", ["seen"])


def _progress() -> None:
    op.create_table(
        "progress",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("release_id", sa.Integer, primary_key=True),
        sa.Column("marks", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("verified_ms", sa.BigInteger),
        sa.Column("success_s", sa.BigInteger),
        sa.Column("bucket", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("channel", "platform", "plugin")),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("is_test", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )


def _sums() -> None:
    op.create_table(
        "counters",
        sa.Column("release_id", sa.Integer, primary_key=True),
        sa.Column("bucket", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("channel", "platform", "plugin")),
        sa.Column("weight", sa.Integer, primary_key=True),
        sa.Column("is_test", sa.Boolean, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTED),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "active",
        sa.Column("app", sa.Text, primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("channel", "running", "target", "platform")),
        sa.Column("is_test", sa.Boolean, primary_key=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
