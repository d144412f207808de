from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otagate.ci import boot
from otagate.ci.boot import BootError, launch, prepare


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "lock.txt"
    path.write_text("# nothing\n")
    return path


def test_an_environment_is_made_once_and_only_for_us(tmp_path: Path, lock: Path) -> None:
    environ = {"RUNNER_TEMP": str(tmp_path / "temp")}
    python = prepare(environ, [lock])
    shown = subprocess.run([python, "-I", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [str(python.parents[1])]
    before = python.parents[1].stat().st_ino
    assert prepare(environ, [lock]) == python
    assert python.parents[1].stat().st_ino == before
    assert [path.name for path in (tmp_path / "temp" / "otagate").iterdir()] == [python.parents[1].name]
    assert (tmp_path / "temp" / "otagate").stat().st_mode & 0o077 == 0


def test_another_lock_is_another_environment(tmp_path: Path, lock: Path) -> None:
    environ = {"OTAGATE_HOME": str(tmp_path / "home")}
    first = prepare(environ, [lock])
    lock.write_text("# changed\n")
    assert prepare(environ, [lock]) != first


@pytest.mark.parametrize(
    ("environ", "lock"),
    [
        ({}, "runtime.txt"),
        ({"OTAGATE_INPUT_COMMENT": "false"}, "runtime.txt"),
        ({"OTAGATE_INPUT_COMMENT": "True"}, "runtime.txt"),  # which the face refuses
        ({"OTAGATE_INPUT_COMMENT": " true\n"}, "comment.txt"),
    ],
)
def test_only_jobs_that_comment_install_what_comments_need(environ: dict[str, str], lock: str, tmp_path: Path) -> None:
    (path,) = boot.choose_locks(environ, tmp_path)
    assert path.name == lock
    assert ("pygithub==" in path.read_text()) == ("python-gitlab==" in path.read_text()) == (lock == "comment.txt")


@pytest.mark.parametrize(
    ("policy", "stores"),
    [
        ("storage: file:.otagate/store\n", []),
        ("storage: s3://acme?region=eu-west-1\n", ["s3"]),
        ("storage: 'gs://acme'\n", ["gcs"]),
        ("storage: [file:x, az://acme]\n", ["azure"]),
        ("storage: file:x\ntelemetry: {database: env:OTAGATE_DATABASE}\n", ["server"]),
        ("storage: file:x\nnotify: {phone: {apprise: env:PHONE}}\n", ["notify"]),
        ("storage: file:x\nnotify: {team: {slack: env:TEAM}} # no apprise\n", []),
        ("storage: file:x\ntelemetry: {server: https://updates.example.com} # not the database\n", []),
        ("storage:\n  - s3://acme\n  - gs://acme\ndocuments: az://acme\n", ["s3", "gcs", "azure"]),
        ("cdn: {cloudfront: E1A2B3}\n", ["s3"]),
        ("cdn: {cloud_cdn: x}\n", ["gcs"]),
        ("metrics: {google_monitoring: {project: p, bad: x, total: y}}\n", ["gcs"]),
        ("metrics: {prometheus: {url: x, bad: y, total: z, auth: google}}\n", ["gcs"]),
        ("cdn:\n  front_door: x\n", ["azure"]),
        ("#   s3://BUCKET/PREFIX\n# gs://x\nstorage: file:x # not az://acme\n", []),
        ("storage: file:a#s3://x\n", ["s3"]),
        ("metrics: {http: {url: 'https://logs3://x'}}\n", []),
        ("\xff\x00", []),
    ],
)
def test_a_job_installs_what_the_stores_of_its_policy_need(policy: str, stores: list[str], tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text(policy, "latin-1")
    assert [path.stem for path in boot.choose_locks({}, tmp_path)] == ["runtime", *stores]


@pytest.mark.parametrize(
    ("environ", "stores"),
    [
        ({}, ["s3"]),
        ({"OTAGATE_INPUT_WORKING_DIRECTORY": "apps/shop"}, ["gcs"]),
        ({"OTAGATE_INPUT_WORKING_DIRECTORY": "apps/shop/src"}, ["gcs"]),
        ({"OTAGATE_INPUT_WORKING_DIRECTORY": "apps/other"}, ["s3"]),
        ({"OTAGATE_INPUT_WORKING_DIRECTORY": "apps/own"}, []),  # a repository of its own: nothing above it counts
        ({"OTAGATE_INPUT_WORKING_DIRECTORY": "apps", "OTAGATE_INPUT_POLICY": " shop/otagate.yaml\n"}, ["gcs"]),
        ({"OTAGATE_INPUT_POLICY": "missing.yml"}, []),
        ({"OTAGATE_INPUT_POLICY": "apps"}, []),
        ({"OTAGATE_INPUT_POLICY": "a\0b"}, []),
    ],
)
def test_the_policy_is_found_as_otagate_finds_it(environ: dict[str, str], stores: list[str], tmp_path: Path) -> None:
    for folder in ("apps/shop/src", "apps/other", "apps/own/.git", ".git"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "otagate.yml").write_text("storage: s3://acme\n")
    (tmp_path / "apps/shop/otagate.yaml").write_text("storage: gs://acme\n")
    assert [path.stem for path in boot.choose_locks(environ, tmp_path)][1:] == stores


def test_locks_of_several_stores_agree_on_every_version_and_bring_what_the_extras_ask_for() -> None:
    locks = [boot.LOCK, boot.COMMENT_LOCK, *(boot.LOCK.with_name(name) for _, name in boot.STORE_LOCKS)]
    pins = [set(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;]+)", path.read_text())) for path in locks]
    versions: dict[str, set[str]] = {}
    for name, version in set().union(*pins):
        versions.setdefault(name, set()).add(version)
    assert {name for name, found in versions.items() if len(found) > 1} == set()
    for lock, needed in (
        ("s3", {"obstore", "botocore"}),
        ("server", {"sqlalchemy", "psycopg"}),
        ("gcs", {"google-auth"}),
        ("azure", {"obstore"}),
    ):
        names = set(re.findall(r"(?m)^([a-z0-9-]+)==", boot.LOCK.with_name(f"{lock}.txt").read_text()))
        assert needed <= names
        assert set(re.findall(r"(?m)^([a-z0-9-]+)==", boot.LOCK.read_text())) <= names


def test_a_module_is_launched_from_its_source_and_from_nowhere_else(tmp_path: Path) -> None:
    source, app = tmp_path / "a source", tmp_path / "app"
    for folder, word in ((source, "ours"), (app, "theirs")):
        folder.mkdir()
        (folder / "sample.py").write_text(f"import sys, json\nprint({word!r}, sys.argv[1:], __name__)\n")
        (folder / "json.py").write_text("raise SystemExit('the wrong json')\n") if folder == app else None
    command = launch(sys.executable, source, "sample", "--x", "a b")
    done = subprocess.run(command, cwd=app, env={"PYTHONPATH": str(app)}, capture_output=True, text=True, check=True)
    assert done.stdout == "ours ['--x', 'a b'] __main__\n"


@pytest.mark.parametrize(
    ("environ", "home"),
    [
        ({"OTAGATE_HOME": "/h", "RUNNER_TEMP": "/r"}, "/h"),
        ({"RUNNER_TEMP": "/r", "WORKSPACE_TMP": "/w"}, "/r/otagate"),
        ({"WORKSPACE_TMP": "/w"}, "/w/otagate"),
    ],
)
def test_the_private_folder(environ: dict[str, str], home: str) -> None:
    assert boot._home(environ) == Path(home)


def test_without_a_private_folder_nothing_is_made(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(BootError, match="OTAGATE_HOME") as caught:
        prepare({}, [lock])
    assert caught.value.code == 2


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (2, 7)])
def test_an_old_python_is_refused_with_the_remedy(version: tuple[int, int]) -> None:
    with pytest.raises(BootError, match=r"(?s)too old.*3\.11 or newer.*setup-python") as caught:
        boot._check_python(version)
    assert caught.value.code == 2


def test_a_missing_lock_or_folder_that_cannot_be_made_is_one_message(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(BootError, match="cannot prepare") as caught:
        prepare({"OTAGATE_HOME": str(tmp_path)}, [tmp_path / "missing"])
    assert caught.value.code == 7
    (tmp_path / "file").touch()
    with pytest.raises(BootError, match="set OTAGATE_HOME"):
        prepare({"OTAGATE_HOME": str(tmp_path / "file" / "x")}, [lock])


def test_a_failed_installation_leaves_nothing_behind(tmp_path: Path, lock: Path) -> None:
    lock.write_text("/nowhere/otagate-0.0.0-py3-none-any.whl --hash=sha256:" + "0" * 64 + "\n")
    home = tmp_path / "home"
    with pytest.raises(BootError, match="pip could not install") as caught:
        prepare({"OTAGATE_HOME": str(home)}, [lock])
    assert caught.value.code == 7
    assert list(home.iterdir()) == []


def test_a_lock_without_hashes_is_refused_by_pip(tmp_path: Path, lock: Path) -> None:
    lock.write_text("/nowhere/otagate-0.0.0-py3-none-any.whl\n")
    with pytest.raises(BootError, match="pip could not install"):
        prepare({"OTAGATE_HOME": str(tmp_path / "home")}, [lock])


def test_pip_sees_no_inputs_and_no_keys(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        seen.update(options, command=command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(
        os,
        "environ",
        {
            "OTAGATE_SIGNING_KEY": "x",
            "OTAGATE_INPUT_COMMAND": "run",
            "OTAGATE_OIDC_TOKEN": "x",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
            "PIP_INDEX_URL": "https://mirror.example",
        },
    )
    other = lock.with_name("other.txt")
    boot._install(tmp_path, [lock, other], with_pip=True)
    assert seen["command"][-4:] == ["-r", str(lock), "-r", str(other)]
    assert seen["env"] == {"PIP_INDEX_URL": "https://mirror.example"}
    assert seen["command"][:4] == [str(tmp_path / "bin" / "python"), "-I", "-m", "pip"]
    assert "--require-hashes" in seen["command"]


def test_two_jobs_at_once_share_the_first_ones_environment(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, final = tmp_path / "home", tmp_path / "home" / "final"

    def other_job_is_first(*_: object, **__: object) -> None:
        final.mkdir()
        (final / "mark").touch()

    monkeypatch.setattr(boot, "_install", other_job_is_first)
    boot._make(home, final, [lock])
    assert [path.name for path in home.iterdir()] == ["final"]
    assert (final / "mark").exists()


def test_a_rename_that_fails_for_another_reason_is_told(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_install", lambda *_args, **_options: None)
    with pytest.raises(OSError, match="No such file"):
        boot._make(tmp_path / "home", tmp_path / "missing" / "final", [lock])


class Executed(Exception):  # noqa: N818 - stands for the end of the process
    pass


def test_main_goes_on_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def execv(program: str, argv: list[str]) -> None:
        seen.extend([program, argv])
        raise Executed

    monkeypatch.setattr(boot, "prepare", lambda *_: tmp_path / "python")
    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(Executed):
        boot.main()
    python = str(tmp_path / "python")
    assert seen == [python, launch(python, boot.SOURCE, "otagate.ci.face")]


def test_main_ends_with_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit) as caught:
        boot.main()
    assert caught.value.code == 2
    assert "too old" in capsys.readouterr().err


def test_the_lock_and_the_source_are_where_the_checkout_has_them() -> None:
    assert boot.LOCK.is_file()
    assert (boot.SOURCE / "otagate" / "ci" / "boot.py").is_file()


def test_the_file_runs_alone_before_anything_is_installed(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-I", boot.__file__], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no private folder")
