"""Everything a server may answer, at the wire but without a socket; time and chance are the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.errors import PolicyError
from otagate.gate.interface import Ask, Measurement, MetricQuery, SourceError
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources.http import HttpMetrics
from otagate.policy.model.sources import HttpSource

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", NOW - timedelta(hours=1), NOW, 500)
GOOD = httpx.Response(200, json={"bad": 3, "total": 500})
SECRET = "correct-horse-battery-staple"


class Clock:
    """Time that passes only when somebody sleeps, or when a test lets it."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def pace(self) -> Pace:
        return Pace(sleep=self.sleep, monotonic=lambda: self.at, now=lambda: NOW, jitter=lambda most: most)


class Server:
    """Answers with one response after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def spec(**more: Any) -> HttpSource:
    return HttpSource(**{"url": "https://metrics.test/counts", "bad": "bad", "total": "total", **more})


def source(
    server: Callable[[httpx.Request], httpx.Response],
    clock: Clock | None = None,
    environ: dict[str, str] | None = None,
    **more: Any,
) -> HttpMetrics:
    pace = (clock or Clock()).pace()
    return HttpMetrics(spec(**more), Path("/nowhere"), environ or {}, pace=pace, transport=httpx.MockTransport(server))


def read(*answers: httpx.Response | Exception, **more: Any) -> Measurement:
    return source(Server(*answers), **more).read(QUERY)


def failure(*answers: httpx.Response | Exception, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(*answers, **more)
    return caught.value


def test_question_is_what_the_policy_says() -> None:
    server = Server(GOOD)
    url = "https://metrics.test/{app}/counts?r={release}&w={weight}"
    body = '{"query": "release = \\"{release}\\"", "from": "{start}"}'
    found = source(server, url=url, method="POST", body=body, headers=(("X-Org", "acme"),)).read(QUERY)
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://metrics.test/com.example.app/counts?r=1.4.2&w=5")
    assert json.loads(request.content) == {"query": 'release = "1.4.2"', "from": "2026-11-21T08:30:00.000000Z"}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Org"] == "acme"
    assert found.query.startswith('POST https://metrics.test/com.example.app/counts?r=1.4.2&w=5 {"query": "release')


def test_policy_may_set_any_header() -> None:
    server = Server(GOOD)
    source(server, headers=(("accept", "application/vnd.x+json"), ("Content-Type", "text/x")), body="{}").read(QUERY)
    assert server.requests[0].headers.get_list("accept") == ["application/vnd.x+json"]
    assert server.requests[0].headers.get_list("content-type") == ["text/x"]


@pytest.mark.parametrize(
    ("answer", "paths", "counts"),
    [
        (
            {"data": {"result": [{"value": [1763717400.0, "12"]}]}},
            ("data.result[0].value[1]", "data.result.value[1]"),
            (12, 12),
        ),
        ({"a": 12.0, "b": 1e3}, ("a", "b"), (12, 1000)),
        ({"bad": "3.0", "total": "500.000000"}, ("bad", "total"), (3, 500)),
        ([{"bad": 1, "total": 2}], ("bad", "total"), (1, 2)),
        ({"rows": []}, ("rows[0].bad", "rows[0].total"), (None, None)),
        ({"errors": [{"message": "no"}], "data": None}, ("data.bad", "data.total"), (None, None)),
        ({"bad": 0}, ("bad", "total"), (0, None)),
    ],
)
def test_numbers_are_found(answer: Any, paths: tuple[str, str], counts: tuple[int | None, int | None]) -> None:
    found = read(httpx.Response(200, json=answer), bad=paths[0], total=paths[1])
    assert (found.bad, found.total) == counts


@pytest.mark.parametrize(
    "value", [12.5, "12.5", "12.05", "12.", ".0", "1.0.0", "NaN", "-1", "", "1e3", "９", True, [1, 2], {"a": 1}, 1e400]
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    body = json.dumps({"bad": 0, "total": value}).encode()
    assert failure(httpx.Response(200, content=body)).found


def test_list_of_several_needs_a_place() -> None:
    error = failure(httpx.Response(200, json={"rows": [{"bad": 1}, {"bad": 2}], "total": 3}), bad="rows.bad")
    assert "a list of 2 elements on the way of `rows.bad`" in str(error)


def test_newest_observation_is_found() -> None:
    answer = httpx.Response(200, json={"bad": 0, "total": 5, "at": "2026-11-21T09:00:00Z"})
    assert read(answer, newest_at="at").newest_at == NOW - timedelta(minutes=30)


def test_newest_observation_that_is_missing_does_not_switch_its_check_off() -> None:
    assert "nothing at `at`" in str(failure(GOOD, newest_at="at"))
    assert read(httpx.Response(200, json={"total": 0}), newest_at="at").newest_at is None


@pytest.mark.parametrize("status", [400, 401, 403, 405, 410, 422])
def test_refusals_are_not_tried_again(status: int) -> None:
    server, clock = Server(httpx.Response(status, text="secret words")), Clock()
    with pytest.raises(SourceError, match=rf"HTTP {status}") as caught:
        source(server, clock).read(QUERY)
    assert (len(server.requests), clock.slept) == (1, [])
    assert "secret words" not in str(caught.value)


def test_not_found_is_no_data() -> None:
    found = read(httpx.Response(404, text="<html>"))
    assert (found.bad, found.total, found.query) == (None, None, "GET https://metrics.test/counts (HTTP 404)")


@pytest.mark.parametrize("status", [202, 206])
def test_a_part_or_a_promise_of_an_answer_is_none(status: int) -> None:
    error = failure(httpx.Response(status, json={"bad": 0, "total": 500}))
    assert f"HTTP {status}, which is not the whole answer" in str(error)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_is_tried_again(status: int) -> None:
    server, clock = Server(httpx.Response(status), httpx.Response(status), GOOD), Clock()
    assert source(server, clock).read(QUERY).total == 500
    assert clock.slept == [1.0, 2.0]


@pytest.mark.parametrize(
    "problem",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"), httpx.ReadError("cut")],
)
def test_broken_connections_are_tried_again(problem: Exception) -> None:
    assert read(problem, GOOD).total == 500


def test_three_tries_are_enough() -> None:
    server, clock = Server(httpx.Response(503)), Clock()
    with pytest.raises(SourceError, match=r"HTTP 503 \(3 tries\)"):
        source(server, clock).read(QUERY)
    assert (len(server.requests), len(clock.slept)) == (3, 2)


@pytest.mark.parametrize(
    ("header", "slept"),
    [
        ("7", 8.0),
        ("0", 1.0),
        ("Sat, 21 Nov 2026 09:30:20 GMT", 21.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 1.0),
        ("soon", 1.0),
        ("-5", 1.0),
        ("", 1.0),
        ("Sat, 21 Nov 2026 09:30:20 -0000", 21.0),
        ("Sat, 21 Nov 2026 09:30:20 +9999999999999999999", 1.0),
    ],
)
def test_retry_after_is_honoured(header: str, slept: float) -> None:
    clock = Clock()
    answers = Server(httpx.Response(429, headers={"Retry-After": header}), GOOD)
    assert source(answers, clock).read(QUERY).total == 500
    assert clock.slept == [slept]


@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"X-RateLimit-Reset": "9"}, 10.0),
        ({"X-Sentry-Rate-Limit-Reset": str(int(NOW.timestamp()) + 12)}, 13.0),
        ({"X-Sentry-Rate-Limit-Reset": str(int(NOW.timestamp()) - 12)}, 1.0),
        ({"X-Sentry-Rate-Limit-Reset": "soon"}, 1.0),
        ({"Retry-After": "3", "X-RateLimit-Reset": "9", "X-Sentry-Rate-Limit-Reset": str(int(NOW.timestamp()) + 12)}, 4.0),
    ],
)
def test_resets_of_rate_limits_are_waited_for(headers: dict[str, str], slept: float) -> None:
    clock = Clock()
    assert source(Server(httpx.Response(429, headers=headers), GOOD), clock).read(QUERY).total == 500
    assert clock.slept == [slept]


@pytest.mark.parametrize("wait", ["60", "3600", "999999"])
def test_waits_beyond_the_deadline_are_not_begun(wait: str) -> None:
    clock = Clock()
    with pytest.raises(SourceError, match=r"HTTP 429 \(1 try\)"):
        source(Server(httpx.Response(429, headers={"Retry-After": wait})), clock).read(QUERY)
    assert clock.slept == []


def test_all_tries_share_one_deadline() -> None:
    clock = Clock()

    def slow(_: httpx.Request) -> httpx.Response:
        clock.at += 29.5
        raise httpx.ReadTimeout("slow")

    with pytest.raises(SourceError, match=r"no answer within 15s \(2 tries\)"):
        source(slow, clock).read(QUERY)


def test_dripping_body_is_cut_off() -> None:
    clock = Clock()

    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.at += 1
                yield b" "

    with pytest.raises(SourceError, match=r"no complete answer within 15s"):
        source(lambda _: httpx.Response(200, stream=Drip()), clock).read(QUERY)
    assert clock.at < 1060


def test_endless_body_is_cut_off() -> None:
    taken = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                taken.append(1)
                yield b" " * 65536

    with pytest.raises(SourceError, match=r"more than 1048576 bytes"):
        source(lambda _: httpx.Response(200, stream=Endless())).read(QUERY)
    assert len(taken) == 17


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    server = Server(httpx.Response(status, headers={"Location": "http://169.254.169.254/"}))
    with pytest.raises(SourceError, match=rf"HTTP {status}, a redirect; none is followed"):
        source(server).read(QUERY)
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+html"])
def test_pages_are_not_read(kind: str) -> None:
    error = failure(httpx.Response(200, headers={"Content-Type": kind}, content=b'{"bad": 0, "total": 900}'))
    assert "an HTML page" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1",
        "https://metrics.test:99999/",
        "https://\x7f/",
        "ftp://metrics.test/",
        "https://",
        "metrics.test/counts",
        "",
    ],
)
def test_impossible_urls_are_errors(url: str) -> None:
    assert "no http or https URL" in str(failure(GOOD, url=url))


def test_secrets_are_read_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}-file\n")
    server = Server(httpx.ConnectError(f"proxy said {SECRET}"))
    headers = (("Authorization", "env:METRICS_TOKEN"), ("X-Key", "file:token"))
    shown = spec(headers=headers, url="https://metrics.test/{metric}")
    metrics = HttpMetrics(
        shown, tmp_path, {"METRICS_TOKEN": SECRET}, pace=Clock().pace(), transport=httpx.MockTransport(server)
    )
    with pytest.raises(SourceError) as caught:
        metrics.read(QUERY)
    assert server.requests[0].headers["Authorization"] == SECRET
    assert server.requests[0].headers["X-Key"] == f"{SECRET}-file"
    assert "proxy said ***" in str(caught.value)
    assert SECRET not in repr(caught.value)


def test_credentials_in_a_url_are_never_shown() -> None:
    assert (
        failure(httpx.Response(403), url="https://user:pass@metrics.test/{metric}").subject
        == "GET https://***@metrics.test/crash_rate"
    )
    assert read(GOOD, url="https://user:pass@metrics.test/").query == "GET https://***@metrics.test/"


def test_secrets_do_not_reach_the_evidence() -> None:
    environ = {"METRICS_TOKEN": SECRET}
    found = read(GOOD, environ=environ, headers=(("X", "env:METRICS_TOKEN"),), body=f'{{"token": "{SECRET}"}}', method="POST")
    assert found.query == 'POST https://metrics.test/counts {"token": "***"}'


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("env:NOT_SET", "set env:NOT_SET"),
        ("env:EMPTY", "set env:EMPTY"),
        ("env:LINES", "set env:LINES"),
        ("a\r\nHost: x", "mend `headers`"),
    ],
)
def test_headers_without_a_usable_value(value: str, remedy: str) -> None:
    error = failure(GOOD, headers=(("X", value),), environ={"EMPTY": " ", "LINES": f"{SECRET}\nX: y"})
    assert remedy in str(error)
    assert SECRET not in str(error)


@pytest.mark.parametrize(("content", "found"), [(None, "No such file"), (b"\xff", "no UTF-8")])
def test_header_files_that_cannot_be_read(content: bytes | None, found: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    metrics = HttpMetrics(spec(headers=(("X", "file:token"),)), tmp_path, {}, transport=httpx.MockTransport(Server(GOOD)))
    with pytest.raises(SourceError, match=found):
        metrics.read(QUERY)


@pytest.mark.parametrize("field", ["bad", "total", "newest_at"])
def test_malformed_paths_are_the_policys_fault(field: str) -> None:
    with pytest.raises(PolicyError, match=rf"`{field}` of an http metric source"):
        HttpMetrics(spec(**{field: "a..b"}), Path(), {})


def test_each_limit_is_asked_on_its_own() -> None:
    server = Server(GOOD)
    query = MetricQuery("verification_time", "a.b", "stable", "1.4.2", NOW, NOW, 500, timedelta(seconds=45))
    assert source(server, url="https://metrics.test/?over={over}").read(query).total == 500
    assert str(server.requests[0].url) == "https://metrics.test/?over=45"


@pytest.mark.parametrize(
    ("paths", "ask", "told"),
    [
        ({"bad": None, "total": None, "value": "value"}, Ask.COUNTS, "no path for bad"),
        ({"total": None}, Ask.SPLIT, "add `total`"),
        ({}, Ask.VALUE, "no path for value"),
    ],
)
def test_what_a_policy_does_not_ask(paths: dict[str, Any], ask: Ask, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        source(Server(GOOD), **paths).read(replace(QUERY, ask=ask))
    assert told in str(caught.value)


@pytest.mark.parametrize(("answer", "number"), [({"v": "12.5"}, 12.5), ({"v": "-1e3"}, -1000.0), ({"v": 7}, 7.0), ({}, None)])
def test_plain_numbers(answer: dict[str, Any], number: float | None) -> None:
    asked = replace(QUERY, ask=Ask.VALUE)
    found = source(Server(httpx.Response(200, json=answer)), bad=None, total=None, value="v").read(asked)
    assert (found.value, found.bad, found.total) == (number, None, None)
    assert found.digest is not None


def test_no_document_has_no_number() -> None:
    missing = httpx.Response(404)
    assert source(Server(missing), value="v").read(replace(QUERY, ask=Ask.VALUE)).value is None
