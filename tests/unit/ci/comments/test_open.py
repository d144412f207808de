from __future__ import annotations

import subprocess
import sys

import pytest

from otagate.ci.comments import open_comments
from otagate.errors import AccessError, UsageError
from support.comment_hosts import FakeGithub, FakeGitlab, FakeHost, StillClock


@pytest.mark.parametrize(("host", "library"), [(FakeGithub(), "github"), (FakeGitlab(), "gitlab")])
def test_a_missing_extra_says_what_to_install(host: FakeHost, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"otagate.ci.comments.{library}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf"(?s){library}.*pip install 'otagate\[{library}\]'"):
        open_comments(host.place, {}, StillClock())


@pytest.mark.parametrize("host", [FakeGithub(), FakeGitlab()])
def test_a_missing_token_is_told(host: FakeHost) -> None:
    with pytest.raises(AccessError, match="no token"):
        open_comments(host.place, {}, StillClock())


@pytest.mark.parametrize("module", ["otagate.cli.main", "otagate.cli.commands.plan", "otagate.ci.face", "otagate.ci.comments"])
def test_nobody_else_pays_for_the_libraries(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'github', 'gitlab', 'requests', 'urllib3'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
