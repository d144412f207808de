"""What is GitLab's own: system notes, pages without end, and redirects that would turn a write into a read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from otagate.ci.comments import gitlab, open_comments
from otagate.ci.comments.interface import Comments
from otagate.errors import UnavailableError
from support.comment_hosts import TOKEN, FakeGitlab, StillClock

MARKER = "<!-- otagate:plan:com.example.app -->"


@pytest.fixture
def host() -> Iterator[FakeGitlab]:
    fake = FakeGitlab()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fake.install(mock)
        yield fake


@pytest.fixture
def comments(host: FakeGitlab) -> Comments:
    return open_comments(host.place, {"OTAGATE_GITLAB_TOKEN": TOKEN}, StillClock())


def test_a_note_of_the_system_is_none_of_ours(host: FakeGitlab, comments: Comments) -> None:
    told = host.add(f"{MARKER}\nmentioned", is_system=True)
    comments.put(MARKER, "new")
    assert told.body == f"{MARKER}\nmentioned"
    assert len(host.comments) == 2


def test_no_more_pages_are_read_than_a_bound(host: FakeGitlab, comments: Comments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitlab, "MAX_PAGES", 2)
    for _ in range(3 * gitlab.PAGE):
        host.add("talk", "9")
    comments.put(MARKER, "new")
    assert len([line for line in host.asked if line.startswith("GET")]) == 2


def test_a_write_that_is_redirected_is_told(host: FakeGitlab, comments: Comments) -> None:
    elsewhere = {"Location": f"{host.api}/projects/42/merge_requests/7/notes"}
    host.faults = [None, (301, elsewhere, "")]
    with pytest.raises(UnavailableError, match=r"(?s)cannot be understood.*RedirectError"):
        comments.put(MARKER, "new")
    assert host.comments == []
