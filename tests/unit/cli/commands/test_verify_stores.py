"""``verify VERSION`` finds the release where the policy keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.project import POLICY, Project


@pytest.mark.parametrize("documents", ["", "documents: file:.otagate/documents\n"])
def test_a_version_is_found_in_the_store_of_documents(tmp_path: Path, documents: str) -> None:
    app = Project(tmp_path / "app")
    app.policy(POLICY + documents)
    assert app("upload").code == 0
    assert (app.folder / ".otagate" / "documents" / "apps").exists() is bool(documents)
    said = app("verify", "1.0.0")
    assert said.code == 0, said.err
