"""The small files of ``otagate init``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otagate.flow.init_files import write_text


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_there_keeps_its_permissions(mode: int, umask: int, tmp_path: Path) -> None:
    path = tmp_path / "capacitor.config.json"
    path.write_text("{}")
    path.chmod(mode)
    write_text(path, f"umask {umask}")
    assert (path.read_text(), path.stat().st_mode & 0o777) == (f"umask {umask}", mode)


def test_a_new_file_gets_what_the_umask_leaves(umask: int, tmp_path: Path) -> None:
    path = tmp_path / "otagate.yml"
    write_text(path, "version: 1\n")
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask
