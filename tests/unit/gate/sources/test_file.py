"""Files that are no files, or not ours to read."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources.file import FileMetrics
from otagate.policy.model.sources import FileSource

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "a.b", "stable", "1.0.0", NOW, NOW, 100)


def test_missing_file_says_which(tmp_path: Path) -> None:
    found = FileMetrics(FileSource("metrics/{metric}.json"), tmp_path).read(QUERY)
    assert found.query == "file metrics/crash_rate.json (not there)"
    assert found.digest is None


def test_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match=r"is no file"):
        FileMetrics(FileSource("pipe"), tmp_path).read(QUERY)


@pytest.mark.parametrize("name", ["x" * 300, "file/below", "loop", "a\0b"])
def test_wrong_paths_are_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SourceError, match=r"cannot be read"):
        FileMetrics(FileSource(name), tmp_path).read(QUERY)
