from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import run_command
from otagate.flow.demo import play
from otagate.flow.demo.play import Act

GOOD = Act("1.1.0", "completed", "every phase was passed", 7.4, 60, 0, 58)
BAD = Act("1.2.0", "rolled_back", "device_success_rate: 7 of 14 devices bad", 4.0, 20, 7, 0)


def call(folder: Path, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run_command(["demo", *argv], {}, folder, out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act, Act], list[Path]]:
    """Let the demo's course be over at once; where it was is remembered."""
    seen: list[Path] = []

    def set_up(good: Act, bad: Act) -> list[Path]:
        def played(folder: Path, _environ: Any, *, devices: int, seed: int, note: Any) -> tuple[Act, Act]:
            seen.append(folder)
            note(f"{devices} phones, seed {seed}")
            return good, bad

        monkeypatch.setattr(play, "play", played)
        return seen

    return set_up


def test_it_ends_by_saying_what_happened_and_how_to_look_at_it(plays: Any, tmp_path: Path) -> None:
    seen = plays(GOOD, BAD)
    code, out, err = call(tmp_path)
    assert code == 0
    assert "7 of 14 devices bad" in out
    assert "otagate demo --keep DIR" in out
    assert "60 phones, seed 1" in err
    assert not seen[0].exists()


def test_what_is_kept_can_be_looked_at(plays: Any, tmp_path: Path) -> None:
    plays(GOOD, BAD)
    code, out, _err = call(tmp_path, "--keep", "all kept")
    assert code == 0
    assert f"cd '{tmp_path}/all kept'" in out
    assert "otagate history" in out
    assert (tmp_path / "all kept").is_dir()


def test_an_end_that_was_not_meant_is_said(plays: Any, tmp_path: Path) -> None:
    plays(GOOD, replace(BAD, stage="completed"))
    code, out, _err = call(tmp_path, "--format", "json")
    data = json.loads(out)
    assert (code, data["as_meant"], data["schema"]) == (4, False, "otagate/demo/v1")
    assert [one["version"] for one in data["releases"]] == ["1.1.0", "1.2.0"]
    assert "not how it was meant to end" in call(tmp_path)[1]


def test_a_folder_that_holds_something_is_refused(plays: Any, tmp_path: Path) -> None:
    seen = plays(GOOD, BAD)
    (tmp_path / "own.txt").write_text("mine")
    code, _out, err = call(tmp_path, "--keep", ".")
    assert (code, seen) == (2, [])
    assert "a folder of its own" in err
    assert call(tmp_path, "--keep", "own.txt/x")[0] != 0


@pytest.mark.parametrize("count", ["39", "501"])
def test_too_few_or_too_many_phones_are_refused(plays: Any, tmp_path: Path, count: str) -> None:
    plays(GOOD, BAD)
    code, _out, err = call(tmp_path, "--devices", count)
    assert code == 2
    assert "40 to 500" in err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    code, _out, err = call(tmp_path)
    assert code == 2
    assert "pip install 'otagate[server,fleet]'" in err
