from __future__ import annotations

import hashlib
import io
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from otagate.bundle.archive import write_archive
from otagate.bundle.collect import collect
from otagate.bundle.inspect import read_archive
from otagate.errors import NotFoundError, UnavailableError, UsageError, VerificationError
from otagate.policy.model.bundles import BundleSpec
from support.zips import Member, deflated, make_zip

_GOOD = (Member("index.html", b"<html>"), Member("assets/app.js", b"x" * 500), Member("e.txt", b"", method=0))


def _write(folder: Path, data: bytes) -> Path:
    path = folder / "a.zip"
    path.write_bytes(data)
    return path


def _refused(path: Path, **limits: int) -> str:
    """Give the line that says why, after checking the rest of the error."""
    with pytest.raises(VerificationError) as caught:
        read_archive(path, **limits)
    error = caught.value
    assert error.exit_code == 3
    assert error.subject == str(path)
    assert error.remedy
    (line,) = error.details
    return line


def _python_zip(compression: int = zipfile.ZIP_DEFLATED, *, unseekable: bool = False) -> bytes:
    buffer = io.BytesIO()

    class Pipe(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return buffer.write(data)

    with zipfile.ZipFile(Pipe() if unseekable else buffer, "w", compression) as archive:
        archive.writestr("index.html", "<html>" * 50)
        archive.writestr("ü/b.txt", "x")
    return buffer.getvalue()


_EXTRA_TIME = struct.pack("<HHBI", 0x5455, 5, 1, 0)


@pytest.mark.parametrize(
    "data",
    [
        make_zip(*_GOOD),
        make_zip(*_GOOD, directory_order=[2, 0, 1]),
        make_zip(Member("a", method=0)),
        make_zip(Member("ü.txt")),
        make_zip(Member("a", flags=0x0002)),
        make_zip(Member("a", flags=0x0800)),
        make_zip(Member("a", attributes=0)),
        make_zip(Member("d/", b"", method=0, attributes=0o40755 << 16 | 0x10), Member("d/a")),
        make_zip(Member("d/a"), Member("d/", b"", method=0)),
        make_zip(Member("a", local_extra=_EXTRA_TIME, central_extra=_EXTRA_TIME)),
        make_zip(Member("zeros", b"\0" * 1_000_000)),
        _python_zip(),
        _python_zip(zipfile.ZIP_STORED),
        make_zip(),
    ],
)
def test_what_every_program_reads_alike_is_accepted(tmp_path: Path, data: bytes) -> None:
    path = _write(tmp_path, data)
    with zipfile.ZipFile(path) as archive:
        expected = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    found = read_archive(path)
    assert [entry.path for entry in found] == sorted(expected, key=str.encode)
    assert all(entry.size == len(expected[entry.path]) for entry in found)
    assert all(entry.digest.hex == hashlib.sha256(expected[entry.path]).hexdigest() for entry in found)


_HIDDEN = Member("index.html", b"<evil>", in_directory=False)
_LONG = {"packed": 10_000, "size": 10_000}
_BIG = b"\0" * 12_000_000


_BAD: list[tuple[bytes, str]] = [
    # Not a zip, or more than one.
    (b"", "not a zip"),
    (b"PK\x05\x06", "not a zip"),
    (b"x" * 100, "not a zip"),
    (make_zip(*_GOOD)[:-1], "not a zip"),
    (make_zip(*_GOOD)[:60], "not a zip"),
    (make_zip(*_GOOD, suffix=b"\0"), "not a zip"),
    (make_zip(*_GOOD, suffix=make_zip(Member("evil"))), "directory"),
    (make_zip(*_GOOD, comment=b"hello"), "not a zip"),
    (make_zip(*_GOOD, comment=b"x" * 22), "not a zip"),
    (make_zip(*_GOOD, prefix=b"#!/bin/sh\n"), "does not begin where"),
    (b"stub" + make_zip(*_GOOD), "does not end where"),
    (make_zip(*_GOOD, gap=b"gap"), "belong to no file"),
    (make_zip(Member("a", after=b"gap"), Member("b")), "does not begin where"),
    (make_zip(Member("a", before=b"gap")), "does not begin where"),
    (make_zip(gap=make_zip(Member("evil"))[:40]), "belong to no file"),
    # What one reader sees and the other does not.
    (make_zip(Member("index.html"), _HIDDEN), "belong to no file"),
    (make_zip(_HIDDEN, Member("index.html")), "does not begin where"),
    (make_zip(Member("a"), Member("b", in_body=False, central={"offset": 0})), "does not begin where"),
    (make_zip(Member("a", local_name=b"b")), "disagree"),
    (make_zip(Member("a", local_name=b"abc")), "disagree"),
    (make_zip(Member("a", local={"signature": 0x02014B50})), "disagree"),
    *((make_zip(Member("a", local={key: 99})), "disagree") for key in ("version", "time", "date", "crc", "size", "packed")),
    (make_zip(Member("a", local={"flags": 0x800})), "disagree"),
    (make_zip(Member("a", local={"method": 0})), "disagree"),
    # The end record.
    (make_zip(*_GOOD, end={"count": 2}), "several parts"),
    (make_zip(*_GOOD, end={"count": 2, "here": 2}), "not as long"),
    (make_zip(*_GOOD, end={"count": 4, "here": 4}), "missing or malformed"),
    (make_zip(*_GOOD, end={"disk": 1}), "several parts"),
    (make_zip(*_GOOD, end={"first": 1}), "several parts"),
    (make_zip(*_GOOD, end={"start": 0xFFFFFFFF}), "zip64"),
    (make_zip(*_GOOD, end={"count": 0xFFFF, "here": 0xFFFF}), "zip64"),
    (make_zip(*_GOOD, end={"length": 3}), "does not end where"),
    (make_zip(*_GOOD, end={"count": 20_001, "here": 20_001}), "more than 20000"),
    # The records.
    (make_zip(Member("a", central={"signature": 1})), "missing or malformed"),
    (make_zip(Member("a", flags=0x0001)), "encrypted"),
    (make_zip(Member("a", flags=0x0008)), "data descriptor"),
    (make_zip(Member("a", flags=0x0040)), "encrypted"),
    (make_zip(Member("a", flags=0x2000)), "encrypted"),
    (_python_zip(unseekable=True), "data descriptor"),
    (make_zip(Member("a", method=12)), "method (12)"),
    (_python_zip(zipfile.ZIP_LZMA), "method (14)|flag"),
    (make_zip(Member("a", comment=b"c")), "comment"),
    (make_zip(Member("a", central={"disk": 1})), "another disk"),
    (make_zip(Member("a", local={"size": 0xFFFFFFFF}, central={"size": 0xFFFFFFFF})), "zip64"),
    (make_zip(Member("a", local={"packed": 0xFFFFFFFF}, central={"packed": 0xFFFFFFFF})), "zip64"),
    (make_zip(Member("a", central={"offset": 0xFFFFFFFF})), "zip64"),
    (make_zip(Member("a", central_extra=struct.pack("<HHQ", 1, 8, 7))), "extra field"),
    (make_zip(Member("a", local_extra=struct.pack("<HHQ", 1, 8, 7))), "extra field"),
    (make_zip(Member("a", central_extra=b"\x75\x70\x05\x00\x01abcd")), "0x7075"),
    (make_zip(Member("a", central_extra=b"\x55\x54\xff\x00")), "extra field"),
    (make_zip(Member("a", local_extra=b"\x55")), "extra field"),
    (make_zip(Member("a", local_extra=_EXTRA_TIME * 200)), "too long"),
    (make_zip(Member("a", method=0, local={"size": 5}, central={"size": 5})), "two sizes differ"),
    # Types.
    (make_zip(Member("a", b"/etc/passwd", attributes=0o120777 << 16)), "link or a device"),
    (make_zip(Member("a", attributes=0o020644 << 16)), "link or a device"),
    (make_zip(Member("a", attributes=0o010644 << 16)), "link or a device"),
    (make_zip(Member("a", attributes=0o040755 << 16)), "does not fit"),
    (make_zip(Member("a/", b"", method=0, attributes=0o100644 << 16)), "does not fit"),
    (make_zip(Member("a", attributes=0x10)), "does not fit"),
    (make_zip(Member("a", attributes=0x08)), "does not fit"),
    (make_zip(Member("a", attributes=0o104755 << 16)), "set-user-id"),
    (make_zip(Member("a/", b"data", method=0)), "folder with content"),
    # Names.
    (make_zip(Member("../evil")), "'..'"),
    (make_zip(Member("a/../../evil")), "'..'"),
    (make_zip(Member("/etc/passwd")), "absolute"),
    (make_zip(Member("..\\evil")), "backslash"),
    (make_zip(Member("C:/evil")), "drive"),
    (make_zip(Member("a\0.html")), "control"),
    (make_zip(Member("a\n")), "control"),
    (make_zip(Member("a\u202eb")), "invisible"),
    (make_zip(Member("")), "empty"),
    (make_zip(Member("/", b"", method=0)), "empty"),
    (make_zip(Member("a//", b"", method=0)), "empty part"),
    (make_zip(Member("./a")), "'.'"),
    (make_zip(Member("aux.js")), "Windows"),
    (make_zip(Member("a ")), "space"),
    (make_zip(Member("n" * 241)), "longer"),
    (make_zip(Member("n" * 300)), "longer"),
    (make_zip(Member("/".join("d" * 33))), "deeper"),
    (make_zip(Member("e\u0301.txt")), "NFC"),
    (make_zip(Member(b"\xe9.txt", flags=0)), "not UTF-8"),
    (make_zip(Member(b"\xe9.txt", flags=0x800)), "not UTF-8"),
    (make_zip(Member("é.txt", flags=0)), "not marked"),
    # Twins.
    (make_zip(Member("a"), Member("a")), "may take it for a"),
    (make_zip(Member("A"), Member("a")), "may take it for A"),
    (make_zip(Member("a"), Member("a/b")), "may take it for a"),
    (make_zip(Member("a/b"), Member("a")), "may take it for a"),
    (make_zip(Member("a/", b"", method=0), Member("a")), "may take it for a"),
    (make_zip(Member("a/", b"", method=0), Member("A/b")), "may take it for a"),
    (make_zip(Member("a/", b"", method=0), Member("a/", b"", method=0)), "twice"),
    (make_zip(Member("ß"), Member("SS")), "may take it for ß"),
    # Contents.
    (make_zip(Member("a", local={"crc": 1}, central={"crc": 1})), "CRC-32"),
    (make_zip(Member("a", local={"size": 6}, central={"size": 6})), "larger than its header"),
    (make_zip(Member("a", local={"size": 8}, central={"size": 8})), "its size or"),
    (make_zip(Member("a", packed=b"\xff\xff\xff")), "damaged"),
    (make_zip(Member("a", method=0, local=_LONG, central=_LONG)), "cut off"),
    (make_zip(Member("a", packed=deflated(b"content")[:-2])), "end too early"),
    (make_zip(Member("a", packed=b"")), "end too early"),
    (make_zip(Member("a", packed=deflated(b"content") + b"more")), "after its end"),
    (make_zip(Member("a", packed=deflated(b"content") + b"m" * 600_000)), "after its end"),
    (make_zip(Member("bomb", _BIG)), "more than 100 times"),
    (make_zip(*(Member(f"bomb{number}", _BIG[:9_000_000]) for number in range(3))), "more than 100 times"),
]


@pytest.mark.parametrize(("data", "word"), _BAD, ids=[f"{number}: {word}" for number, (_, word) in enumerate(_BAD)])
def test_what_is_ambiguous_damaged_or_hostile_is_refused(tmp_path: Path, data: bytes, word: str) -> None:
    line = _refused(_write(tmp_path, data))
    assert any(one in line for one in word.split("|")), line


def test_the_entry_is_named_harmlessly(tmp_path: Path) -> None:
    assert _refused(_write(tmp_path, make_zip(Member("a\x1b[2J")))).startswith("a\\x1b[2J: ")


def test_a_bomb_whose_header_lies_is_stopped_at_the_size_that_the_header_says(tmp_path: Path) -> None:
    packed = deflated(b"\0" * 100_000_000, 1)
    lie = {"size": 1000}
    path = _write(tmp_path, make_zip(Member("a", packed=packed, local=lie, central=lie)))
    began = time.process_time()
    zlib.decompress(packed, -zlib.MAX_WBITS)
    whole = time.process_time() - began
    began = time.process_time()
    assert "larger than its header" in _refused(path)
    assert time.process_time() - began < whole


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    kernel = Member("a", b"\0" * 1_000_000)
    others = [Member(f"{number}", b"\0" * 1_000_000, in_body=False, central={"offset": 0}) for number in range(50)]
    assert "does not begin where" in _refused(_write(tmp_path, make_zip(kernel, *others)), max_ratio=10**6)


@pytest.mark.parametrize(("key", "limit"), [("max_files", 2), ("max_size", 505)])
def test_limits_hold_exactly(tmp_path: Path, key: str, limit: int) -> None:
    path = _write(tmp_path, make_zip(*_GOOD))
    assert "more than" in _refused(path, **{key: limit})
    assert len(read_archive(path, **{key: limit + 1})) == 3


def test_the_ratio_is_free_to_choose(tmp_path: Path) -> None:
    path = _write(tmp_path, make_zip(Member("a", _BIG)))
    assert read_archive(path, max_ratio=2000)


@pytest.mark.parametrize("length", [262_143, 262_144, 262_145, 524_288, 1_000_000])
@pytest.mark.parametrize("method", [0, 8])
def test_contents_around_the_size_of_a_chunk(tmp_path: Path, length: int, method: int) -> None:
    data = os.urandom(length // 2) + bytes(length - length // 2)
    (entry,) = read_archive(_write(tmp_path, make_zip(Member("a", data, method=method))))
    assert (entry.size, entry.digest.hex) == (length, hashlib.sha256(data).hexdigest())


def test_every_truncation_and_every_flipped_byte_of_a_small_archive_is_noticed_or_harmless(tmp_path: Path) -> None:
    good = make_zip(Member("index.html", b"<html>"), Member("a.js", b"x" * 40))
    expected = read_archive(_write(tmp_path, good))
    for cut in range(len(good)):
        assert _refused(_write(tmp_path, good[:cut]))
    passed = 0
    for place in range(len(good)):
        path = _write(tmp_path, good[:place] + bytes([good[place] ^ 0xFF]) + good[place + 1 :])
        try:
            assert read_archive(path) == expected
            passed += 1
        except VerificationError:
            pass
    # Per record: "version made by" (2 bytes), the internal attributes (2), the unused byte of the external ones and the
    # permissions (1 each) mean nothing for what is unpacked.
    assert passed == 2 * 6


def test_our_own_archives_pass(tmp_path: Path) -> None:
    web = tmp_path / "dist"
    (web / "ü").mkdir(parents=True)
    (web / "index.html").write_text("notifyAppReady" * 100)
    (web / "ü" / "empty").touch()
    (web / "noise.bin").write_bytes(os.urandom(5000))
    bundle = write_archive(collect(web, BundleSpec()), tmp_path / "a.zip")
    assert read_archive(tmp_path / "a.zip") == bundle.files


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"a\.zip"):
        read_archive(tmp_path / "a.zip")


def test_a_folder_is_not_an_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the archive"):
        read_archive(tmp_path)


def test_a_disk_that_fails_while_reading() -> None:
    with pytest.raises(UnavailableError, match="/proc/self/mem"):
        read_archive(Path("/proc/self/mem"))  # its first page cannot be read: EIO
