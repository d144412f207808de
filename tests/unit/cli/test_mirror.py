"""``otagate mirror``, and what ``status`` and ``reconcile`` say and do about mirrors, on folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from otagate.channel.copies import PointerGap
from otagate.cli.render.mirrors import lag_data, lag_view, mended_data
from otagate.errors import UnavailableError
from otagate.flow.mirror_lag import MirrorLag, ReleaseGap
from otagate.model import ChannelName
from support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app", soak="0s", storage="[file:.otagate/store, file:.otagate/one, file:.otagate/two]")


@pytest.fixture
def shipped(project: Project) -> Project:
    assert project("run", "--wait", "1m").code == 0
    return project


def files(folder: Path) -> set[str]:
    kinds = ("blobs", "releases", "channels")
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and set(kinds) & set(path.parts)}


def test_a_run_reaches_every_folder(shipped: Project) -> None:
    first = files(shipped.store)
    assert len(first) == 4
    assert files(shipped.folder / ".otagate" / "one") == files(shipped.folder / ".otagate" / "two") == first
    status = shipped("status", "--format", "json").json
    assert [mirror["in_step"] for mirror in status["mirrors"]] == [True, True]
    assert shipped("status").out.count("in step") == 2
    assert "| in step |" in shipped("status", "--format", "markdown").out


def test_a_mirror_that_lost_everything_is_brought_up_and_a_dry_run_touches_nothing(shipped: Project) -> None:
    one = shipped.folder / ".otagate" / "one"
    shutil.rmtree(one)
    said = shipped("status")
    assert "1 release and 2 channels behind" in said.out
    assert "otagate mirror brings it up" in said.out
    plan = shipped("mirror", "--dry-run", "--format", "json")
    assert plan.code == 0
    assert [step["kind"] for step in plan.json["steps"]] == ["publish", "move", "move"]
    assert not one.exists()
    done = shipped("mirror", "--format", "json")
    assert done.code == 0
    assert done.json["mirrors"][0]["releases"] == ["1.0.0"]
    assert sorted(done.json["mirrors"][0]["channels"]) == ["internal", "stable"]
    assert done.json["mirrors"][0]["in_step"]
    assert files(one) == files(shipped.store)
    again = shipped("mirror")
    assert "copied" not in again.out
    assert again.out.count("in step") == 2


def test_reconcile_lets_pointers_follow(shipped: Project) -> None:
    shutil.rmtree(shipped.folder / ".otagate" / "two" / "apps" / "com.example.app" / "channels")
    said = shipped("reconcile")
    assert said.code == 0
    assert files(shipped.folder / ".otagate" / "two") == files(shipped.store)


def test_a_rollback_is_done_while_a_mirror_is_gone_and_says_so(shipped: Project) -> None:
    shipped.next_release("1.1.0")
    assert shipped("run", "--wait", "1m").code == 0
    one = shipped.folder / ".otagate" / "one"
    shutil.rmtree(one)
    one.write_text("no folder")
    said = shipped("rollback", "--channel", "stable")
    assert said.code == 0
    assert "lags behind" in said.err
    assert str(one) in said.err
    failed = shipped("mirror")
    assert failed.code != 0
    assert "not known" in shipped("status").out
    one.unlink()
    assert shipped("mirror").code == 0
    assert "1.0.0" in shipped("status").out
    assert files(one) >= {name for name in files(shipped.store) if "/channels/" in name}


def test_one_release_more_is_brought_when_it_is_named(project: Project) -> None:
    assert project("upload").code == 0
    one = project.folder / ".otagate" / "one"
    shutil.rmtree(one / "blobs")
    assert "in step" in project("mirror").out
    assert not (one / "blobs").exists()
    assert "copied release 1.0.0" in project("mirror", "--version", "1.0.0").out
    shutil.rmtree(one / "blobs")
    assert "copied release 1.0.0" in project("mirror", "--all").out
    assert files(one) == files(project.store)
    missing = project("mirror", "--version", "9.9.9")
    assert missing.code == 2
    assert "not published" in missing.err


def test_a_forged_pointer_ends_with_the_code_of_verification(shipped: Project) -> None:
    pointer = shipped.folder / ".otagate" / "one" / "apps" / "com.example.app" / "channels" / "stable.json"
    pointer.write_text("{}")
    for arguments in (("mirror", "--dry-run"), ("mirror",)):
        said = shipped(*arguments)
        assert said.code == 3
        assert "find out who wrote it" in said.out
    assert pointer.read_text() == "{}"
    assert "stable" in shipped("status").out


def test_without_mirrors_there_is_nothing_to_do(tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    assert "the policy names no mirrors" in project("mirror").out
    assert "the policy names no mirrors" in project("mirror", "--dry-run").out
    assert project("mirror", "--format", "json").json["mirrors"] == []
    assert project("status", "--format", "json").json["mirrors"] == []
    assert "  mirror" not in project("status").out


def test_what_is_left_is_shown() -> None:
    gaps = (PointerGap(ChannelName("beta"), 3, None, "forged"), PointerGap(ChannelName("stable"), 3, 2))
    lag = MirrorLag("memory:m", (ReleaseGap("1.0.0", "no blob"), ReleaseGap("1.1.0", "x", "gone")), gaps)
    assert lag_data(lag)["channels"][0] == {"channel": "beta", "here": 3, "there": None, "problem": "forged"}
    assert mended_data(lag) == {
        "url": "memory:m",
        "in_step": False,
        "releases": ["1.0.0"],
        "channels": ["stable"],
        "problems": ["1.1.0: gone", "channel beta: forged"],
    }
    assert lag_data(MirrorLag("memory:m", error=UnavailableError("no answer")))["error"] == "no answer"
    assert lag_view([]) == []
    assert len(lag_view([MirrorLag("memory:m")])) == 1


def test_a_mirror_that_does_not_answer_does_not_lag() -> None:
    error = UnavailableError("cannot read the document", "s3://m", None, "no connection", "check the network")
    _, line = lag_view([MirrorLag("s3://m", error=error)])
    assert line.text == "s3://m cannot be read: no connection; try: check the network"  # type: ignore[union-attr]


def test_status_says_where_the_documents_are_and_that_mirrors_are_asked(tmp_path: Path) -> None:
    project = Project(tmp_path / "app", storage="[file:.otagate/store, file:.otagate/one]\ndocuments: file:.otagate/state")
    said = project("status")
    assert f"documents in file:{project.folder}/.otagate/state" in said.out.splitlines()[0]
    assert "asking the mirrors" in said.err
