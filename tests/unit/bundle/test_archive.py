from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import deflate
import pytest

from otagate import _canonical
from otagate.bundle import archive, zipformat
from otagate.bundle.archive import LEVEL, compressor, write_archive
from otagate.bundle.collect import collect
from otagate.bundle.inspect import read_archive
from otagate.bundle.source import SourceFile
from otagate.errors import AccessError, BundleError, NotFoundError, UnavailableError
from otagate.model import Digest
from otagate.policy.model.bundles import BundleSpec
from support.files import names_in

_CONTENTS = {
    "index.html": b"<script>notifyAppReady()</script>" * 20,
    "assets/app.js": b"let a = 1;" * 5000,
    "assets/logo.webp": b"RIFF" * 100,
    "assets/\u00fc\u65e5.css": b"a{}" * 50,
    "empty.txt": b"",
    "tiny.txt": b"ab",
    "Z.txt": b"zz" * 40,
}


def _fill(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _files(folder: Path) -> tuple[SourceFile, ...]:
    return collect(folder, BundleSpec(require_notify_app_ready=False))


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return _fill(tmp_path / "dist", _CONTENTS)


def test_every_file_is_in_it_as_it_was(web: Path, tmp_path: Path) -> None:
    write_archive(_files(web), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == _CONTENTS


def test_every_field_is_fixed(web: Path, tmp_path: Path) -> None:
    write_archive(_files(web), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        infos = found.infolist()
    assert [info.filename for info in infos] == sorted(_CONTENTS, key=str.encode)
    for info in infos:
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert (info.create_system, info.create_version, info.extract_version) == (3, 20, 20)
        assert info.external_attr == 0o100644 << 16
        assert info.flag_bits == (0 if info.filename.isascii() else 0x800)
        assert (info.extra, info.comment, info.internal_attr, info.volume) == (b"", b"", 0, 0)
    assert found.comment == b""


def test_deflate_is_used_where_it_helps(web: Path, tmp_path: Path) -> None:
    write_archive(_files(web), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        stored = {info.filename for info in found.infolist() if info.compress_type == zipfile.ZIP_STORED}
        sizes = {info.filename: info.compress_size for info in found.infolist()}
    assert stored == {"assets/logo.webp", "empty.txt", "tiny.txt"}
    assert sizes["assets/app.js"] == len(deflate.deflate_compress(_CONTENTS["assets/app.js"], LEVEL))


def test_the_bundle_describes_the_archive(web: Path, tmp_path: Path) -> None:
    bundle = write_archive(_files(web), tmp_path / "a.zip")
    data = (tmp_path / "a.zip").read_bytes()
    assert bundle.archive == Digest.of(data)
    assert bundle.archive_size == len(data)
    assert [entry.path for entry in bundle.files] == sorted(_CONTENTS, key=str.encode)
    assert all(entry.size == len(_CONTENTS[entry.path]) for entry in bundle.files)
    assert all(entry.digest == Digest.of(_CONTENTS[entry.path]) for entry in bundle.files)
    rows = [[entry.path, entry.size, entry.digest.hex] for entry in bundle.files]
    assert bundle.content == Digest(hashlib.sha256(_canonical.dumps(rows)).hexdigest())
    assert bundle.compressor == compressor() == "libdeflate (deflate 0.9.0) level 6"


def test_the_bytes_are_what_they_were_in_the_first_release(tmp_path: Path) -> None:
    """A change of one bit here means that all bundles change: say so in the changelog and in ADR 3."""
    text = b"".join(b"line %d of a file that compresses\n" % (number * number % 977) for number in range(4000))
    web = _fill(tmp_path / "dist", {"index.html": b"<html>", "a.js": text, "\u00fc.png": bytes(range(256))})
    bundle = write_archive(_files(web), tmp_path / "a.zip")
    assert bundle.content.hex == "41264bd4d408bd152605c72cb4e7d61acfa18dc65a58b880589cfb4166ed7138"
    assert bundle.archive.hex == "56e78cbc21ee0ca3fcd1574a81b74a107f55c9efbad6ea4fd3601fc174d73f0e"


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_neither_the_number_of_threads_nor_the_order_of_the_list_matters(tmp_path: Path, workers: int) -> None:
    web = _fill(tmp_path / "dist", {f"{number}.js": b"%d" % number * number for number in range(300)} | _CONTENTS)
    files = _files(web)
    expected = write_archive(files, tmp_path / "a.zip")
    assert write_archive(files[::-1], tmp_path / "b.zip", workers=workers) == expected
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()


_PACK = """
import os, sys
from pathlib import Path
from otagate.bundle.archive import write_archive
from otagate.bundle.collect import collect
from otagate.policy.model.bundles import BundleSpec
os.umask(int(sys.argv[3], 8))
print(write_archive(collect(Path(sys.argv[1]), BundleSpec()), Path(sys.argv[2])).archive)
"""


@pytest.mark.parametrize(
    ("umask", "environ"),
    [
        ("000", {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}),
        ("077", {"TZ": "America/Los_Angeles", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1700000000"}),
        ("022", {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONHASHSEED": "7"}),
        ("027", {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "1"}),
    ],
)
def test_neither_umask_time_zone_locale_folder_times_nor_order_of_making_matter(
    web: Path, tmp_path: Path, umask: str, environ: dict[str, str]
) -> None:
    expected = write_archive(_files(web), tmp_path / "a.zip")
    other = _fill(tmp_path / "other" / "place", dict(reversed(_CONTENTS.items())))
    for number, name in enumerate(_CONTENTS):
        os.utime(other / name, (number * 10**8, number * 10**8))
        (other / name).chmod(0o777 if number % 2 else 0o600)
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    result = subprocess.run(
        [sys.executable, "-c", _PACK, str(other), str(tmp_path / "b.zip"), umask],
        env={"PATH": os.defpath, "PYTHONPATH": paths, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == str(expected.archive), result.stderr
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()


def test_what_is_there_is_replaced_and_nothing_else_is_left(web: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("old")
    write_archive(_files(web), tmp_path / "a.zip")
    assert zipfile.is_zipfile(tmp_path / "a.zip")
    assert names_in(tmp_path) == ["a.zip", "dist"]


def test_progress_is_told_and_ends_at_the_whole(web: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_archive(_files(web), tmp_path / "a.zip", on_progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, _CONTENTS.values()))
    assert [count for _, count in seen] == [total] * len(_CONTENTS)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)


def test_large_files_are_stored_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "STORE_ABOVE", 1000)
    monkeypatch.setattr(archive, "_CHUNK", 300)
    contents = {"index.html": b"x" * 1000, "large.js": b"y" * 1001, "z.js": b"z" * 50}
    bundle = write_archive(_files(_fill(tmp_path / "dist", contents)), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as found:
        assert {info.filename: info.compress_type for info in found.infolist()} == {"index.html": 8, "large.js": 0, "z.js": 8}
        assert found.testzip() is None
    assert read_archive(tmp_path / "a.zip") == bundle.files
    assert bundle.archive == Digest.of((tmp_path / "a.zip").read_bytes())


def _append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"!")


def _write_over(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"!!!!")
    os.utime(path, ns=(5, 5))


@pytest.mark.parametrize("change", [_append, _write_over, Path.unlink])
@pytest.mark.parametrize("name", ["index.html", "assets/app.js"])
def test_a_file_that_changed_since_it_was_vetted_is_noticed_and_nothing_is_left(
    web: Path, tmp_path: Path, change: Callable[[Path], None], name: str
) -> None:
    files = _files(web)
    change(web / name)
    with pytest.raises(BundleError) as caught:
        write_archive(files, tmp_path / "a.zip")
    assert caught.value.subject == str(web / name)
    assert names_in(tmp_path) == ["dist"]


def test_a_large_file_that_changes_between_its_two_readings_is_noticed(
    web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "STORE_ABOVE", 1000)
    path = web / "assets" / "app.js"
    status = path.stat()
    real = zlib.crc32
    main = threading.main_thread()

    def change_behind_our_back(data: bytes, crc: int = 0) -> int:
        found = real(data, crc)
        if data.startswith(b"let") and threading.current_thread() is not main:
            with path.open("r+b") as stream:
                stream.write(b"var")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return found

    monkeypatch.setattr(zlib, "crc32", change_behind_our_back)
    with pytest.raises(BundleError, match="changed while it was packed"):
        write_archive(_files(web), tmp_path / "a.zip")
    assert names_in(tmp_path) == ["dist"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")])
def test_an_interruption_leaves_no_file_and_no_thread(web: Path, tmp_path: Path, error: BaseException) -> None:
    def stop(done: int, total: int) -> None:
        raise error

    with pytest.raises(type(error)):
        write_archive(_files(web), tmp_path / "a.zip", on_progress=stop)
    assert names_in(tmp_path) == ["dist"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pack")]


def test_a_full_disk(web: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="full") as caught:
        write_archive(_files(web), tmp_path / "a.zip")
    assert caught.value.subject == str(tmp_path / "a.zip")
    assert names_in(tmp_path) == ["dist"]


def test_a_folder_that_is_missing(web: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        write_archive(_files(web), tmp_path / "nowhere" / "a.zip")


def test_a_file_that_may_not_be_read(web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, real = _files(web), os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == "app.js":
            raise PermissionError(13, "no")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessError) as caught:
        write_archive(files, tmp_path / "a.zip")
    assert caught.value.subject == str(web / "assets" / "app.js")


def test_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no files"):
        write_archive((), tmp_path / "a.zip")


def test_the_same_path_twice(web: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="same path"):
        write_archive(_files(web) * 2, tmp_path / "a.zip")


@pytest.mark.parametrize(("key", "limit"), [("MAX_ENTRIES", 6), ("MAX_OFFSET", 60_000)])
def test_what_does_not_fit_into_a_zip(web: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, limit: int) -> None:
    monkeypatch.setattr(zipformat, key, limit)
    sizes = {"assets/app.js": b"x" * 60_000} if key == "MAX_OFFSET" else {}
    with pytest.raises(BundleError, match="do not fit") as caught:
        write_archive(_files(_fill(web, sizes)), tmp_path / "a.zip")
    assert caught.value.remedy
    assert names_in(tmp_path) == ["dist"]


def test_it_works_without_asking_the_system_for_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 <= archive._processors() <= 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert archive._processors() == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert archive._processors() == 2


_MEASURE = """
import re, sys, time
from pathlib import Path
from otagate.bundle.archive import write_archive
from otagate.bundle.collect import collect
from otagate.policy.model.bundles import BundleSpec
files = collect(Path(sys.argv[1]), BundleSpec(require_notify_app_ready=False))
import deflate, importlib.metadata
# Not getrusage: its maximum begins with what the parent had.
peak = lambda: int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
# A slow disk: whatever is packed ahead piles up.
write_archive(files, Path(sys.argv[2]), workers=8, on_progress=lambda done, total: time.sleep(0.03))
print((peak() - before) // 1024)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    block = os.urandom(1 << 20)
    web = _fill(tmp_path / "dist", {"index.html": b"x", "video.bin": block * 40} | {f"{n}.bin": block * 8 for n in range(14)})
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    result = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(web), str(tmp_path / "a.zip")],
        env={"PATH": os.defpath, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) < 75
