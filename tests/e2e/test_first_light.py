"""The whole story that `make demo` tells: a real app reaches its users, a bad release does not, and all of it can be read back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import js
from support.measured import unmeasured

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(js.INSTALL_SECONDS)]

SOURCE = js.ROOT / "examples" / "quickstart"


# The tour as it is, but not in the project's own `.demo`.
ELSEWHERE = """
import pathlib, runpy, sys
main = runpy.run_path(sys.argv[1])["main"]
main.__globals__["PROJECT"] = pathlib.Path(sys.argv[2])
main()
"""


@dataclass(frozen=True)
class Told:
    """The app as the demo left it, and all that it printed."""

    app: Path
    text: str

    def read(self, *argv: str, folder: Path | None = None) -> Any:
        return json.loads(self.otagate(*argv, "--format", "json", folder=folder))

    def otagate(self, *argv: str, folder: Path | None = None, expect: int = 0) -> str:
        environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        command: list[str | Path] = [js.tool("otagate"), *argv]
        done = subprocess.run(command, cwd=folder or self.app, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == expect, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Give the tour once, in a folder of its own, as on a CI that has opinions about branches."""
    place = tmp_path_factory.mktemp("first-light")
    environ = {**unmeasured(), "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/elsewhere", "GITHUB_SHA": "0" * 40}
    argv: list[str | Path] = [js.tool("python"), "-c", ELSEWHERE, str(SOURCE / "demo.py"), str(place)]
    done = subprocess.run(argv, cwd=place, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Told(place / ".demo" / "app", done.stdout + done.stderr)


def served(told: Told, folder: Path | None = None) -> dict[str, str | None]:
    channels = told.read("status", folder=folder)["channels"]
    return {one["channel"]: one["stable"]["version"] if one["stable"] else None for one in channels}


def test_the_tour_tells_its_whole_story(told: Told) -> None:
    for chapter in range(1, 8):
        assert f"\n{chapter}. " in told.text
    assert "(exit code 8)" in told.text
    assert "Traceback" not in told.text
    assert told.text.index("1.0.0: completed") < told.text.index("1.1.0: rolled_back")


def test_the_good_release_is_everywhere_and_the_bad_one_nowhere(told: Told) -> None:
    status = told.read("status")
    assert served(told) == {"internal": "1.0.0", "beta": "1.0.0", "stable": "1.0.0"}
    assert [one["candidate"] for one in status["channels"]] == [None, None, None]
    assert status["rollouts"] == []


def test_no_stable_phone_ever_saw_the_bad_release(told: Told) -> None:
    entries = told.read("history", "--limit", "0")["entries"]
    moves = [(one["data"]["version"], one["data"]["channel"]) for one in entries if one["kind"] == "rollout.advanced"]
    assert ("1.0.0", "stable") in moves
    assert ("1.1.0", "beta") in moves
    assert ("1.1.0", "stable") not in moves
    kinds = [one["kind"] for one in entries]
    assert kinds.count("release.published") == 2
    assert kinds.count("rollout.completed") == 1
    assert kinds.count("rollout.rolled_back") == 1
    (failed,) = [one for one in entries if one["kind"] == "rollout.rolled_back"]
    assert "crash_rate" in json.dumps(failed)


def test_the_chain_of_records_is_whole(told: Told) -> None:
    assert "is whole" in told.otagate("history")


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_both_releases_verify_with_the_phones_key(version: str, told: Told) -> None:
    report = told.read("verify", version, "--public-key", ".otagate/keys/encryption.pub.pem")
    assert report["holds"] is True
    assert {check["result"] for check in report["checks"]} == {"holds"}
    assert len(report["checks"]) >= 5


def test_the_two_releases_are_different_builds(told: Told) -> None:
    names = [path.name for path in (told.app / ".otagate" / "store" / "blobs").rglob("*") if path.is_file()]
    assert len(names) == 2


def test_running_it_again_changes_nothing(told: Told) -> None:
    before = told.read("history", "--limit", "0")["entries"]
    told.otagate("run", expect=8)
    assert told.read("history", "--limit", "0")["entries"] == before
    assert served(told)["stable"] == "1.0.0"


def test_the_store_is_whole_in_another_place_without_any_private_key(told: Told, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(told.app / ".otagate" / "store", elsewhere / ".otagate" / "store")
    (elsewhere / ".otagate" / "keys").mkdir()
    for name in ("signing.pub.pem", "encryption.pub.pem"):
        shutil.copy(told.app / ".otagate" / "keys" / name, elsewhere / ".otagate" / "keys")
    shutil.copy(told.app / "otagate.yml", elsewhere)
    assert served(told, elsewhere) == served(told)
    assert told.read("history", folder=elsewhere) == told.read("history")
    assert "is whole" in told.otagate("history", folder=elsewhere)
    report = told.read("verify", "1.0.0", "--public-key", ".otagate/keys/encryption.pub.pem", folder=elsewhere)
    assert report["holds"] is True


def test_what_people_are_told_at_the_end_is_there(told: Told) -> None:
    assert (told.app / "otagate.yml").is_file()
    assert (told.app / ".otagate" / "store").is_dir()
    assert not (told.app / "demo.py").exists()
