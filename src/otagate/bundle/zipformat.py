"""The records of a zip file, shared by the writer and the inspector.

**Source:** PKWARE APPNOTE.TXT 6.3.10, 4.3.7 (local file header), 4.3.12 (central directory), 4.3.16 (end record).
All numbers are little-endian and unsigned.
"""

from __future__ import annotations

from struct import Struct

LOCAL_SIGNATURE = 0x04034B50
CENTRAL_SIGNATURE = 0x02014B50
END_SIGNATURE = 0x06054B50

LOCAL = Struct("<I5H3I2H")
"""Signature, version needed, flags, method, time, date, CRC-32, packed size, size, name length, extra length: 30 bytes."""
CENTRAL = Struct("<I6H3I5H2I")
"""Signature, version made by, then as LOCAL from version needed to extra length, comment length, disk, internal attributes,
external attributes, offset of the local header: 46 bytes."""
END = Struct("<I4H2IH")
"""Signature, disk, disk of the directory, entries here, entries in all, directory size, directory offset, comment length: 22
bytes."""

STORED = 0
DEFLATED = 8
UTF8_FLAG = 0x0800

MAX_ENTRIES = 0xFFFF - 1
"""Most entries without zip64; 0xFFFF itself means "see the zip64 record"."""
MAX_OFFSET = 0xFFFF_FFFF - 1
"""Largest size or offset without zip64, in bytes; 0xFFFFFFFF itself means "see the zip64 field"."""
