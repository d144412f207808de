"""Full disks, folders without rights, and odd homes: one message with the exit code, nothing half-written, and the way on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support.shop import Said, Shop, open_shop

pytestmark = pytest.mark.e2e

OTAGATE = Path(sys.executable).parent / "otagate"
DISK_KIB = 1024
POINTER = "apps/com.example.shop/channels/live.json"


def without_rights() -> tuple[str, ...]:
    """Give what stands before a command so that rights bind it, as they do everybody but root."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("giving up root's rights needs setpriv")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def installed(shop: Shop, *argv: str, before: tuple[str, ...] = (), **environ: str) -> Said:
    """Run the installed command in a process of its own."""
    done = subprocess.run(
        [*before, OTAGATE, *argv],
        cwd=shop.folder,
        env={**shop.environ, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def bound(shop: Shop, *argv: str, **environ: str) -> Said:
    """Run the installed command as somebody whom rights bind."""
    return installed(shop, *argv, before=without_rights(), **environ)


EACH = """
import io, json, os, sys
from pathlib import Path
from otagate.cli.main import run_command
for argv in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    code = run_command(argv, os.environ, Path.cwd(), out, err)
    print(json.dumps([int(code), out.getvalue(), err.getvalue()]))
"""


def each_bound(shop: Shop, commands: Iterable[tuple[str, ...]]) -> list[Said]:
    """Run commands one after the other in one process whom rights bind: starting one for each takes most of the time."""
    done = subprocess.run(
        [*without_rights(), sys.executable, "-c", EACH, json.dumps(list(commands))],
        cwd=shop.folder,
        env=dict(shop.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Said(*json.loads(line)) for line in done.stdout.splitlines()]


def one_message(said: Said, code: int, *texts: str) -> None:
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert "bug in otagate" not in said.err
    assert said.err.count("error: ") == 1, said.err
    for text in texts:
        assert text in said.err, said.err


def contents(store: Path) -> dict[str, bytes]:
    """Read every finished file; what is unfinished or a lock decides nothing."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and ".locks" not in path.parts
    }


def new_version(shop: Shop, version: str = "2.0.0", size: int = 100) -> None:
    """Change the app: ``size`` bytes that do not get smaller in a zip."""
    shop.edit("package.json", '"1.0.0"', f'"{version}"')
    shop.path("dist/noise.bin").write_bytes(os.urandom(size))
    shop.commit()


# --- full -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a real file system with 1 MiB of room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def full(tmp_path: Path, disk: Path) -> Shop:
    """Give an app whose store is on the small disk, with release 1.0.0 on channel live, and no room left."""
    shop = open_shop(tmp_path / "shop")
    shutil.copytree(shop.path(".otagate/store"), disk / "store")
    shop.edit("otagate.yml", "storage: file:.otagate/store", f"storage: file:{disk}/store")
    shop.commit()
    return shop


def fill(disk: Path, *, but_kib: int = 0) -> None:
    """Leave ``but_kib`` KiB of room."""
    free = shutil.disk_usage(disk).free
    (disk / "fill").write_bytes(b"\0" * max(0, free - but_kib * 1024))


def make_room(disk: Path) -> None:
    (disk / "fill").unlink()


@pytest.mark.parametrize("verb", ["upload", "run"])
@pytest.mark.parametrize("but_kib", [0, 4, 8, 16, 40])
def test_a_disk_that_fills_up_while_publishing(verb: str, but_kib: int, full: Shop, disk: Path) -> None:
    store = disk / "store"
    new_version(full, size=50_000)
    before = contents(store)
    before.pop("apps/com.example.shop/serial.json")  # a number that was drawn is not given back
    fill(disk, but_kib=but_kib)
    one_message(installed(full, verb), 7, str(store), "is full", "try: free some space")
    after = contents(store)
    assert {name: after.get(name) for name in before} == before, "what was there is as it was"
    assert not [path for path in store.rglob(".tmp-*") if path.is_file()], "unfinished files stay"
    assert full.run("status").code == 0
    make_room(disk)
    said = full.run(verb)
    assert said.code == 0, said.err
    assert full.run("verify", "2.0.0").code == 0
    assert "is whole" in full.run("history").out


@pytest.mark.parametrize(
    ("argv", "moved"),
    [
        (("promote", "--channel", "live", "--release", "2.0.0"), True),
        (("promote", "--channel", "beta", "--release", "1.0.0"), True),
        (("rollback", "--channel", "live"), True),
        (("pause", "--channel", "live"), True),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_full_disk_moves_no_pointer(argv: tuple[str, ...], moved: bool, full: Shop, disk: Path) -> None:
    store = disk / "store"
    new_version(full)
    assert full.run("upload").code == 0
    before = contents(store)
    fill(disk)
    one_message(installed(full, *argv), 7, str(store), "is full")
    assert contents(store) == before
    make_room(disk)
    said = full.run(*argv)
    assert said.code == 0, said.err
    assert (contents(store) != before) is moved


def test_room_that_ends_after_the_pointer_was_moved_is_made_good_by_the_same_command(full: Shop, disk: Path) -> None:
    # Between a pointer and its ledger entry, one block at a time: whatever is left undone, the second try does.
    store = disk / "store"
    promote = ("promote", "--channel", "beta", "--release", "1.0.0")
    for but_kib in range(0, 64, 4):
        fill(disk, but_kib=but_kib)
        said = full.run(*promote)
        make_room(disk)
        if said.code == 0:
            break
        one_message(said, 7, str(store), "is full")
        assert not [path for path in store.rglob(".tmp-*") if path.is_file()]
    assert installed(full, *promote).code == 0
    history = full.run("history", "--kind", "channel.promoted")
    assert history.out.count("Channel beta was moved") == 1, history.out
    assert but_kib > 0, "the disk was never full"


def test_a_full_disk_stops_a_rollout_and_the_next_run_goes_on(full: Shop, disk: Path) -> None:
    new_version(full)
    assert full.run("upload").code == 0
    for but_kib in range(0, 200, 4):
        fill(disk, but_kib=but_kib)
        said = full.run("run")
        make_room(disk)
        if said.code == 0:
            break
        one_message(said, 7, str(disk), "is full")
        assert full.run("status").code == 0
    assert but_kib > 0
    said = installed(full, "run", "--format", "json")
    assert said.code == 0, said.err
    assert '"soaking"' in said.out
    history = full.run("history")
    assert "is whole" in history.out
    assert history.out.count("rollout.started") == 1, history.out


@pytest.mark.parametrize("argv", [("bundle", "-o", "{}/out.zip"), ("keys", "create", "--out", "{}/keys")], ids=str)
def test_a_full_disk_leaves_no_half_of_a_file(argv: tuple[str, ...], full: Shop, disk: Path) -> None:
    full.path("dist/noise.bin").write_bytes(os.urandom(20_000))
    fill(disk)
    names = {path for path in disk.rglob("*") if path.is_file()}
    one_message(installed(full, *(part.format(disk) for part in argv)), 7, str(disk), "is full")
    assert {path for path in disk.rglob("*") if path.is_file()} == names


def test_a_full_folder_for_temporary_files_is_named_or_done_without(full: Shop, disk: Path) -> None:
    shutil.rmtree(disk / "store")
    full.edit("otagate.yml", f"storage: file:{disk}/store", "storage: file:.otagate/store")
    full.commit()
    new_version(full, size=200_000)
    before = contents(full.path(".otagate/store"))
    fill(disk, but_kib=100)
    one_message(installed(full, "upload", TMPDIR=str(disk)), 7, str(disk), "is full")
    assert contents(full.path(".otagate/store")) == before
    assert [path.name for path in disk.iterdir()] == ["fill"], "temporary files stay"
    assert full.run("upload").code == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [(("status",), 7), (("status", "--format", "json"), 7), (("--version",), 7), (("--help",), 7), (("promte",), 2)],
    ids=str,
)
def test_a_standard_output_that_is_full(argv: tuple[str, ...], code: int, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    with Path("/dev/full").open("w") as nothing:
        done = subprocess.run(
            [OTAGATE, *argv],
            cwd=shop.folder,
            env=dict(shop.environ),
            stdout=nothing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    one_message(Said(done.returncode, "", done.stderr), code)
    assert "Exception ignored" not in done.stderr


def test_a_log_that_cannot_be_written_stops_no_release(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    new_version(shop)
    with Path("/dev/full").open("w") as nothing:
        done = subprocess.run(
            [OTAGATE, "run"],
            cwd=shop.folder,
            env=dict(shop.environ),
            stdout=subprocess.PIPE,
            stderr=nothing,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert "soaking" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_up_in_the_store(closed: str, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    new_version(shop)
    line = f'exec "$0" run {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, OTAGATE], cwd=shop.folder, env=dict(shop.environ), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert "is whole" in shop.run("history").out
    assert shop.run("verify", "2.0.0").code == 0


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'rmdir "{gone}"; exec "{OTAGATE}" status'
    done = subprocess.run(["/bin/sh", "-c", line], cwd=gone, capture_output=True, text=True, check=False)
    one_message(Said(done.returncode, done.stdout, done.stderr), 2, "gone")


# --- no rights --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Shop]:
    """Give an app with a second release to ship; whatever rights a test takes are given back."""
    shop = open_shop(tmp_path / "shop")
    new_version(shop)
    yield shop
    subprocess.run(["chmod", "-R", "u+rwX", tmp_path], check=True)


def set_modes(folder: Path, *, folders: int, files: int) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(folders if path.is_dir() else files)


READING = [
    ("status",),
    ("history",),
    ("plan",),
    ("verify", "1.0.0"),
    ("run", "--dry-run"),
    ("rollback", "--channel", "live", "--dry-run"),
]
WRITING = [
    ("upload",),
    ("run",),
    ("promote", "--channel", "beta", "--release", "1.0.0"),
    ("rollback", "--channel", "live"),
    ("pause", "--channel", "live"),
]


def test_a_store_that_may_only_be_read_is_read_and_not_written(guest: Shop) -> None:
    shop = guest
    store = shop.path(".otagate/store")
    set_modes(store, folders=0o555, files=0o444)
    before = contents(store)
    said = each_bound(shop, (*READING, *WRITING))
    for read in said[: len(READING)]:
        assert read.code == 0, read
    assert len(said) == len(READING) + len(WRITING)
    for written in said[len(READING) :]:
        one_message(written, 2, str(store), "Permission denied", "permissions")
    assert contents(store) == before


def test_a_store_that_may_not_be_read_is_said(guest: Shop) -> None:
    shop = guest
    store = shop.path(".otagate/store")
    store.chmod(0)
    one_message(bound(shop, "run"), 2, str(store), "Permission denied")
    commands = (*READING[:3], *WRITING)
    for said in each_bound(shop, commands):
        one_message(said, 2, str(store), "Permission denied")


@pytest.mark.parametrize(
    ("name", "argv"),
    [
        (".otagate/keys/signing.pem", ("promote", "--channel", "beta", "--release", "1.0.0")),
        (".otagate/keys/encryption.pem", ("upload",)),
        (".otagate/keys/signing.pub.pem", ("status",)),
        (".otagate/keys", ("upload",)),
        ("otagate.yml", ("plan",)),
        ("dist", ("bundle", "-o", "out.zip")),
        ("dist/app.js", ("bundle", "-o", "out.zip")),
        ("package.json", ("plan",)),
    ],
)
def test_a_file_that_may_not_be_read_is_named(name: str, argv: tuple[str, ...], guest: Shop) -> None:
    shop = guest
    before = contents(shop.path(".otagate/store"))
    shop.path(name).chmod(0)
    one_message(bound(shop, *argv), 2, name, "Permission denied")
    assert contents(shop.path(".otagate/store")) == before


def test_an_app_folder_that_may_only_be_read_can_be_shipped_from(guest: Shop) -> None:
    shop = guest
    for path in (shop.folder, shop.path("dist")):
        path.chmod(0o555)
    said = bound(shop, "run")
    assert said.code == 0, said.err
    one_message(bound(shop, "bundle", "-o", "out.zip"), 2, "out.zip", "Permission denied")
    one_message(bound(shop, "init", "--force", "--app-id", "com.example.shop"), 2, "Permission denied")


# --- odd homes and folders for temporary files --------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [("run",), ("upload",), ("verify", "1.0.0")], ids=lambda argv: argv[0])
@pytest.mark.parametrize("place", ["missing", "a-file", "closed"])
def test_an_unusable_tmpdir_is_done_without(place: str, argv: tuple[str, ...], guest: Shop) -> None:
    shop = guest
    shop.path("a-file").write_text("")
    shop.path("closed").mkdir(mode=0o555)
    said = bound(shop, *argv, TMPDIR=str(shop.path(place)))
    assert said.code == 0, said.err


def test_no_place_for_temporary_files_at_all_is_said(guest: Shop) -> None:
    # Python looks into TMPDIR, /tmp, /var/tmp, /usr/tmp and the current folder; none of them can be written here.
    # Closed and not hidden: the checkout, and so the command itself, may stand below /tmp.
    close = "for at in /tmp /var/tmp; do mount --bind $at $at && mount -o remount,bind,ro $at || exit 99; done"
    if subprocess.run(["unshare", "-m", "sh", "-c", close], check=False, capture_output=True).returncode:
        pytest.skip("closing /tmp needs root")
    store = guest.path(".otagate/store")
    before = contents(store)
    guest.folder.chmod(0o555)
    # The app stays where it is, and is seen under a name that is not below /tmp.
    script = f'mount --bind "{guest.folder}" /mnt && {close}; cd /mnt && exec {" ".join(without_rights())} "$@"'
    said = installed(guest, "upload", before=("unshare", "-m", "sh", "-c", script, "sh"))
    one_message(said, 2, "temporary files", "TMPDIR")
    assert contents(store) == before


@pytest.mark.parametrize("home", [None, "", "/nonexistent", "/proc", "closed"])
def test_a_home_that_is_missing_or_closed_does_not_matter(home: str | None, guest: Shop) -> None:
    shop = guest
    shop.path("closed").mkdir(mode=0)
    environ = {name: value for name, value in shop.environ.items() if name != "HOME"}
    if home is not None:
        environ["HOME"] = str(shop.path(home)) if home == "closed" else home
    bare = Shop(shop.folder, environ)
    assert bound(bare, "run").code == 0
    for said in each_bound(bare, (("plan",), ("status",), ("history",))):
        assert said.code == 0, said.err
