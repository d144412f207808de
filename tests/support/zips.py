"""Zips with any field wrong that a test wants wrong; written without the code under test."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field


@dataclass
class Member:
    """One file of a zip; ``local`` and ``central`` override single fields of its two headers."""

    name: str | bytes
    data: bytes = b"content"
    method: int = 8
    local: dict[str, int] = field(default_factory=dict)
    central: dict[str, int] = field(default_factory=dict)
    packed: bytes | None = None
    flags: int | None = None
    attributes: int | None = None
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    in_directory: bool = True
    in_body: bool = True
    before: bytes = b""
    after: bytes = b""

    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode("utf-8")

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == 8 else self.data

    def fields(self) -> dict[str, int]:
        flags = self.flags if self.flags is not None else (0 if self.raw_name().isascii() else 0x800)
        return {
            "version": 20, "flags": flags, "method": self.method, "time": 0, "date": 0x21, "crc": zlib.crc32(self.data),
            "packed": len(self.body()), "size": len(self.data), "disk": 0, "offset": 0, "signature": 0,
        }  # fmt: skip


def deflated(data: bytes, level: int = 9) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def make_zip(
    *members: Member,
    prefix: bytes = b"",
    suffix: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    end: dict[str, int] | None = None,
    directory_order: list[int] | None = None,
) -> bytes:
    """Write a zip of these members."""
    body, records = prefix, []
    for member in members:
        body += member.before
        offset = len(body)
        if member.in_body:
            body += _local(member) + member.body()
        body += member.after
        if member.in_directory:
            records.append(_central(member, offset))
    body += gap
    if directory_order is not None:
        records = [records[index] for index in directory_order]
    directory = b"".join(records)
    values = {"disk": 0, "first": 0, "here": len(records), "count": len(records), "length": len(directory), "start": len(body)}
    values |= end or {}
    tail = struct.pack("<I4H2IH", 0x06054B50, *values.values(), len(comment))
    return body + directory + tail + comment + suffix


def _local(member: Member) -> bytes:
    values = member.fields() | {"signature": 0x04034B50} | member.local
    name = member.raw_name() if member.local_name is None else member.local_name
    order = ("signature", "version", "flags", "method", "time", "date", "crc", "packed", "size")
    head = struct.pack("<I5H3I2H", *(values[key] for key in order), len(name), len(member.local_extra))
    return head + name + member.local_extra


def _central(member: Member, offset: int) -> bytes:
    values = member.fields() | {"signature": 0x02014B50, "offset": offset} | member.central
    order = ("version", "flags", "method", "time", "date", "crc", "packed", "size")
    name = member.raw_name()
    head = struct.pack(
        "<I6H3I5H2I",
        values["signature"],
        0x314,
        *(values[key] for key in order),
        len(name),
        len(member.central_extra),
        len(member.comment),
        values["disk"],
        0,
        _attributes(member),
        values["offset"],
    )
    return head + name + member.central_extra + member.comment


def _attributes(member: Member) -> int:
    if member.attributes is not None:
        return member.attributes
    return 0o40755 << 16 | 0x10 if member.raw_name().endswith(b"/") else 0o100644 << 16
