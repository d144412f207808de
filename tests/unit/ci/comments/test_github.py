"""Who wrote a comment, where GitHub and servers like it tell in different ways; and its limits of requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import responses

from otagate.ci.comments import open_comments
from otagate.ci.comments.interface import Comments
from otagate.errors import UnavailableError
from support.comment_hosts import TOKEN, FakeGithub, StillClock

MARKER = "<!-- otagate:plan:com.example.app -->"


@pytest.fixture
def host() -> Iterator[FakeGithub]:
    fake = FakeGithub()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fake.install(mock)
        yield fake


@pytest.fixture
def comments(host: FakeGithub) -> Comments:
    return open_comments(host.place, {"GITHUB_TOKEN": TOKEN}, StillClock())


def test_who_we_are_is_asked_only_when_it_matters(host: FakeGithub, comments: Comments) -> None:
    comments.put(MARKER, "one")
    assert "POST /graphql" not in host.asked
    comments.put(MARKER, "two")
    assert host.asked.count("POST /graphql") == 1


def test_a_server_without_graphql_is_asked_the_other_way(host: FakeGithub, comments: Comments) -> None:
    host.graphql, host.rest_user = False, True
    host.add(f"{MARKER}\nforged", "other[bot]")
    ours = host.add(f"{MARKER}\nold", host.me.upper())
    comments.put(MARKER, "new")
    assert ours.body == f"{MARKER}\nnew"
    assert "GET /user" in host.asked


def test_where_nobody_tells_an_apps_comment_counts_and_others_stay(host: FakeGithub, comments: Comments) -> None:
    host.graphql = False
    host.add(f"{MARKER}\nforged", "eve", kind="User")
    first = host.add(f"{MARKER}\nold", "some[bot]")
    second = host.add(f"{MARKER}\nold too", "other[bot]")
    comments.put(MARKER, "new")
    assert first.body == f"{MARKER}\nnew"
    assert second in host.comments
    assert len(host.comments) == 3


@pytest.mark.parametrize("answer", ['{"data": {"viewer": {"login": null}}}', '{"data": {"viewer": {"login": 5}}}'])
def test_a_name_that_is_none_counts_as_untold(host: FakeGithub, comments: Comments, answer: str) -> None:
    ours = host.add(f"{MARKER}\nold")
    host.faults = [None, (200, {}, answer)]
    comments.put(MARKER, "new")
    assert ours.body == f"{MARKER}\nnew"


@pytest.mark.parametrize("graphql", [True, False])
def test_a_host_that_fails_when_asked_who_we_are_is_asked_again(host: FakeGithub, comments: Comments, graphql: bool) -> None:
    host.graphql, host.rest_user = graphql, True
    ours = host.add(f"{MARKER}\nold")
    host.faults = [None, *([] if graphql else [None]), 503]
    comments.put(MARKER, "new")
    assert [comment.body for comment in host.comments] == [f"{MARKER}\nnew"]
    assert ours.body == f"{MARKER}\nnew"


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    "message", ["API rate limit exceeded for installation.", "You have exceeded a secondary rate limit. Please wait"]
)
def test_a_403_that_means_too_many_requests_blames_no_permission(
    host: FakeGithub, comments: Comments, message: str, at: int
) -> None:
    host.add(f"{MARKER}\nold")
    host.faults = [*[None] * at, (403, {"X-RateLimit-Reset": "9999999999"}, json.dumps({"message": message}))]
    with pytest.raises(UnavailableError, match="fewer requests") as caught:
        comments.put(MARKER, "new")
    assert "permission" not in str(caught.value)
    assert len(host.asked) == at + 1


def test_a_comment_without_text_is_nothing(host: FakeGithub, comments: Comments) -> None:
    host.add("x").body = None  # type: ignore[assignment] # as GitHub shows comments whose text it withholds
    assert comments.put(MARKER, "new")
    assert len(host.comments) == 2
