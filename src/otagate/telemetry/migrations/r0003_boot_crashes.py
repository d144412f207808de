"""A start that did not come to its end counts as a crash: sums follow the rows that say so."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = ("release_id", "bucket", "channel", "platform", "plugin", "weight", "is_test")
_BOOT, _CRASHED = 256, 1024
"""Bits of ``Mark``, which are never renumbered."""


def upgrade() -> None:
    """Add to ``crashed`` the rows that failed to boot and did not tell of a crash besides."""
    key = ", ".join(_KEY)
    same = " AND ".join(f"counters.{name} = late.{name}" for name in _KEY)
    op.execute(
        f"UPDATE counters SET crashed = crashed + late.n FROM (SELECT {key}, count(*) AS n FROM progress"  # noqa: S608 - constants
        f" WHERE (marks & {_BOOT}) <> 0 AND (marks & {_CRASHED}) = 0 GROUP BY {key}) AS late WHERE {same}"
    )
