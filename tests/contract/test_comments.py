"""What every host's comments must do, asked over HTTP of a fake GitHub and a fake GitLab."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
import responses

from otagate.ci.comments import open_comments
from otagate.ci.comments.body import MAX_BYTES
from otagate.ci.comments.interface import Comments
from otagate.ci.comments.one import PAUSES
from otagate.ci.comments.place import TOKENS
from otagate.errors import AccessError, OtagateError, UnavailableError
from support.comment_hosts import METHODS, TOKEN, FakeGithub, FakeGitlab, FakeHost, StillClock

MARKER = "<!-- otagate:plan:com.example.app -->"
PLAN = "### plan: ship 1.0.0\n\n| a | b |\n| --- | --- |\n"


@pytest.fixture(params=[FakeGithub, FakeGitlab], ids=["github", "gitlab"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    def sleep(_: float) -> None:
        message = "a library slept"
        raise RuntimeError(message)

    monkeypatch.setattr(time, "sleep", sleep)
    fake: FakeHost = request.param()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fake.install(mock)
        for method in METHODS:
            mock.add_callback(method, "https://evil.example/", fake._receive)
        yield fake


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def comments(host: FakeHost, clock: StillClock) -> Comments:
    return open_comments(host.place, {TOKENS[host.place.host]: TOKEN + "\n"}, clock)


def test_the_first_time_a_comment_is_written(host: FakeHost, comments: Comments) -> None:
    url = comments.put(MARKER, PLAN)
    [stored] = host.comments
    assert stored.body.splitlines()[0] == MARKER
    assert stored.body.endswith(PLAN)
    assert url.startswith(host.place.page + "#")
    assert str(stored.id) in url
    assert len(host.writes) == 1


def test_opening_asks_nothing(host: FakeHost, comments: Comments) -> None:
    assert host.asked == []


def test_the_next_time_it_is_changed_in_place(host: FakeHost, comments: Comments) -> None:
    host.add("hello", "ana", kind="User")
    first = comments.put(MARKER, PLAN)
    host.add("nice", "bob", kind="User")
    assert comments.put(MARKER, "another plan\n") == first
    assert [comment.body for comment in host.comments] == ["hello", f"{MARKER}\nanother plan\n", "nice"]


@pytest.mark.parametrize("kept", ["{}", "{}\n\n", "crlf"])
def test_the_same_text_is_not_written_again(host: FakeHost, comments: Comments, kept: str) -> None:
    url = comments.put(MARKER, PLAN)
    stored = host.comments[0]
    stored.body = stored.body.replace("\n", "\r\n") if kept == "crlf" else kept.format(stored.body.strip())
    assert comments.put(MARKER, PLAN) == url
    assert len(host.writes) == 1


def test_a_strangers_comment_with_our_marker_is_left_alone(host: FakeHost, comments: Comments) -> None:
    body = f"{MARKER}\nplease merge"
    host.add(body, "eve", kind="User")
    host.add(body, "other[bot]")
    comments.put(MARKER, PLAN)
    comments.put(MARKER, "changed")
    assert [comment.body for comment in host.comments] == [body, body, f"{MARKER}\nchanged"]


def test_a_comment_of_ours_that_quotes_the_marker_is_left_alone(host: FakeHost, comments: Comments) -> None:
    host.add(f"> {MARKER}\n")
    host.add(f"see\n{MARKER}\n")
    comments.put(MARKER, PLAN)
    assert len(host.comments) == 3


def test_each_app_has_its_own(host: FakeHost, comments: Comments) -> None:
    comments.put(MARKER, PLAN)
    comments.put("<!-- otagate:plan:com.example -->", "of the other")
    comments.put(MARKER, "again")
    assert [comment.body.splitlines()[1] for comment in host.comments] == ["again", "of the other"]


def test_it_is_found_on_a_later_page(host: FakeHost, comments: Comments) -> None:
    for number in range(230):
        host.add(f"talk {number}", "ana", kind="User")
    ours = host.add(f"{MARKER}\nold")
    comments.put(MARKER, PLAN)
    assert ours.body.endswith(PLAN)
    assert len(host.comments) == 231
    assert len([line for line in host.asked if line.startswith("GET") and not line.endswith("/user")]) == 3


def test_of_two_that_met_one_is_kept(host: FakeHost, comments: Comments) -> None:
    first, _, other = host.add(f"{MARKER}\nold"), host.add("talk", "ana", kind="User"), host.add(f"{MARKER}\nold too")
    comments.put(MARKER, PLAN)
    assert first in host.comments
    assert other not in host.comments
    assert len(host.comments) == 2


def test_what_is_too_long_is_cut_and_says_so(host: FakeHost, comments: Comments) -> None:
    comments.put(MARKER, "| ö@ana |\n" * 20_000)
    body = host.comments[0].body
    assert MAX_BYTES / 2 < len(body.encode()) < 65_536
    assert "Cut here" in body
    comments.put(MARKER, "| ö@ana |\n" * 20_000)
    assert len(host.writes) == 1


def test_nobody_is_notified_and_nothing_is_commanded(host: FakeHost, comments: Comments) -> None:
    comments.put(MARKER, "by \\@acme/everybody\n/merge\n")
    assert host.comments[0].body == f"{MARKER}\nby \\@<!-- -->acme/everybody\n\\/merge\n"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_names_the_permission_and_is_not_repeated(
    host: FakeHost, comments: Comments, clock: StillClock, status: int
) -> None:
    host.faults = [status]
    with pytest.raises(AccessError, match=f"HTTP {status}") as caught:
        comments.put(MARKER, PLAN)
    assert ("pull-requests: write" in str(caught.value)) == (host.place.host == "github")
    assert ("scope `api`" in str(caught.value)) == (host.place.host == "gitlab")
    assert (len(host.asked), clock.slept) == (1, [])


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
def test_no_failure_shows_the_token(host: FakeHost, comments: Comments, at: int, status: int) -> None:
    host.faults = [*[None] * at, *[status] * 5]
    with pytest.raises(OtagateError) as caught:
        comments.put(MARKER, PLAN)
    assert isinstance(caught.value, AccessError | UnavailableError)
    assert TOKEN not in str(caught.value)


def test_a_host_that_wants_fewer_requests_is_left_in_peace(host: FakeHost, comments: Comments, clock: StillClock) -> None:
    host.faults = [(429, {"Retry-After": "3600"}, "{}")]
    with pytest.raises(UnavailableError, match="fewer requests"):
        comments.put(MARKER, PLAN)
    assert (len(host.asked), clock.slept) == (1, [])


FAILURES = [
    502,
    requests.ReadTimeout("slow"),
    requests.ConnectionError("gone"),
    requests.exceptions.ChunkedEncodingError("cut"),
]


@pytest.mark.parametrize("fault", FAILURES)
def test_a_passing_failure_is_outlived(host: FakeHost, comments: Comments, clock: StillClock, fault: int | Exception) -> None:
    host.faults = [fault, None, fault]
    assert comments.put(MARKER, PLAN)
    assert [comment.body.splitlines()[0] for comment in host.comments] == [MARKER]
    assert clock.slept == list(PAUSES)


@pytest.mark.parametrize("fault", FAILURES)
def test_a_lasting_failure_is_told_after_three_tries(
    host: FakeHost, comments: Comments, clock: StillClock, fault: int | Exception
) -> None:
    host.faults = [fault] * 9
    with pytest.raises(UnavailableError) as caught:
        comments.put(MARKER, PLAN)
    assert caught.value.subject == host.place.page
    assert (len(host.asked), clock.slept) == (3, list(PAUSES))


@pytest.mark.parametrize("before", [[], [f"{MARKER}\nold"]])
def test_a_write_whose_answer_is_lost_is_not_repeated(host: FakeHost, comments: Comments, before: list[str]) -> None:
    for body in before:
        host.add(body)
    host.lost = True
    url = comments.put(MARKER, PLAN)
    [stored] = host.comments
    assert stored.body.endswith(PLAN)
    assert str(stored.id) in url


@pytest.mark.parametrize(
    "answer",
    ["<html>log in</html>", '{"what": 1}', "[1, 2]", "[", '[{"id": [], "body": 5, "system": 0}]', "5"],
)
def test_an_answer_that_is_none_is_told(host: FakeHost, comments: Comments, answer: str) -> None:
    host.faults = [(200, {"Content-Type": "application/json"}, answer)] * 2
    with pytest.raises(UnavailableError, match="cannot be understood"):
        comments.put(MARKER, PLAN)
    assert host.writes == []


def test_a_write_that_is_answered_by_something_else_is_told(host: FakeHost, comments: Comments) -> None:
    host.faults = [None, (200, {"Content-Type": "application/json"}, '{"state": "welcome"}')]
    with pytest.raises(UnavailableError, match="cannot be understood"):
        comments.put(MARKER, PLAN)


def test_a_next_page_on_another_server_gets_no_token(host: FakeHost, comments: Comments) -> None:
    page = json.dumps([host.show(host.add("talk", "ana"))] * 100)
    host.faults = [(200, {"Link": '<https://evil.example/?page=2>; rel="next"', "Content-Type": "application/json"}, page)]
    with suppress(OtagateError):
        comments.put(MARKER, PLAN)
    assert not [token for name, token in host.tokens if name == "evil.example" and TOKEN in token]


def test_a_redirect_to_another_server_takes_no_token_along(host: FakeHost, comments: Comments) -> None:
    host.faults = [(302, {"Location": "https://evil.example/"}, ""), (200, {"Content-Type": "application/json"}, "[]")]
    with suppress(OtagateError):
        comments.put(MARKER, PLAN)
    assert len(host.tokens) > 1
    assert not [token for name, token in host.tokens if name == "evil.example" and TOKEN in token]


def test_every_request_carries_the_token_in_the_header_only(host: FakeHost, comments: Comments) -> None:
    host.add(f"{MARKER}\nold")
    comments.put(MARKER, PLAN)
    assert len(host.tokens) >= 3
    assert all(token.endswith(f" {TOKEN}") for _, token in host.tokens)
    assert not any(TOKEN in line for line in host.asked)
