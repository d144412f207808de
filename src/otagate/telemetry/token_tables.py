"""Tables of tokens and of the audit, in the database of telemetry; made by its migrations (``r0002``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from otagate.telemetry.tables import METADATA

TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the whole token
    Column("apps", Text, nullable=False),  # JSON: "all", or a list
    Column("channels", Text, nullable=False),  # likewise
    Column("verbs", Text, nullable=False),  # separated by blanks
    Column("created_s", BigInteger, nullable=False),  # Unix seconds, likewise the next three
    Column("expires_s", BigInteger, nullable=False),
    Column("last_used_s", BigInteger),
    Column("revoked_s", BigInteger),
)

# Rows are only ever added. The text is kept as it was hashed: a value that is written anew may differ by a byte.
AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of `entry`, hex
)

# One row: the last entry. Who adds one locks it first, so entries are written one after the other; and it tells when the
# newest entries are missing.
AUDIT_HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", Text),
)
