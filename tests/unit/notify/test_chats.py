"""What Slack and Teams are sent: their shapes, their limits, their markup; and what Apprise is without its library."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.notify import slack, teams
from otagate.notify.interface import NotifyError
from otagate.notify.message import Happening, Level, Message, compose
from otagate.notify.registry import Wire, open_notifier
from otagate.policy.model.notify import NotifyKind, NotifySpec

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
SPEC = NotifySpec("team", NotifyKind.SLACK, "env:PLACE")
ENVIRON = {"PLACE": "https://hooks.example.com/services/T0/B0/x0"}


def message(kind: str = "rollout.paused", **data: Any) -> Message:
    data = {"rollout": "1.4.2-production", "version": "1.4.2", **data}
    return compose(Happening("com.example.app", 7, AT, kind, data))


HUGE = message(reason="&" * 9999, run="https://ci.example.com/1", **{f"f{number:02}&": "<" * 9999 for number in range(40)})


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def test_slack_gets_blocks_and_a_text_for_what_cannot_show_them() -> None:
    body = json.loads(
        slack.body_of(message(reason="a < b & c > d", actor="ana", metric="x < y", run="https://ci.example.com/1?a=1&b=2"))
    )
    sentence = "1.4.2 is paused by ana: a &lt; b &amp; c &gt; d. Devices that have it keep it; no others get it."
    assert body["text"] == f"🟠 1.4.2 is paused · com.example.app: {sentence}"
    header, section, fields, context = body["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "🟠 1.4.2 is paused · com.example.app", "emoji": False}
    assert section["text"] == {"type": "mrkdwn", "text": sentence, "verbatim": True}
    assert [field["text"] for field in fields["fields"]][:3] == ["*app*\ncom.example.app", "*version*\n1.4.2", "*gate*\nx &lt; y"]  # fmt: skip
    assert context["elements"][0]["text"] == "<https://ci.example.com/1?a=1&amp;b=2|The CI run>"


@pytest.mark.parametrize("level", list(Level))
def test_every_level_has_its_sign_and_colour(level: Level) -> None:
    kinds = {Level.INFO: "rollout.started", Level.GOOD: "rollout.completed", Level.WARNING: "rollout.paused", Level.BAD: "gate.failed"}  # fmt: skip
    made = message(kinds[level])
    assert made.level is level
    assert json.loads(slack.body_of(made))["blocks"][0]["text"]["text"][0] in "🔵🟢🟠🔴"
    card = json.loads(teams.body_of(made))["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] in {"accent", "good", "warning", "attention"}


def test_slack_s_limits_are_kept() -> None:
    body = json.loads(slack.body_of(HUGE))
    assert len(body["text"]) <= 3000
    assert len(body["blocks"]) <= 50
    for block in body["blocks"]:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        elif "fields" in block:
            assert 1 <= len(block["fields"]) <= 10
            assert all(0 < len(field["text"]) <= 2000 for field in block["fields"])
        elif "text" in block:
            assert len(block["text"]["text"]) <= 3000


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [("a&b", 7, "a&amp;b"), ("a&b", 6, "a…"), ("a&b&c", 8, "a&amp;b…"), ("<!here>", 99, "&lt;!here&gt;"), ("abc", 2, "a…"), ("x;&&", 8, "x;&amp;…")],
)  # fmt: skip
def test_no_escape_is_cut_in_the_middle(text: str, limit: int, shown: str) -> None:
    assert slack.escaped(text, limit) == shown
    assert len(shown) <= limit


def test_teams_gets_a_card_of_runs() -> None:
    body = json.loads(teams.body_of(message(metric="see [here](https://evil.example)", run="https://ci.example.com/1")))
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert (attachment["contentType"], attachment["contentUrl"]) == ("application/vnd.microsoft.card.adaptive", None)
    card = attachment["content"]
    assert (card["type"], card["version"], card["fallbackText"]) == ("AdaptiveCard", "1.4", "1.4.2 is paused · com.example.app")
    # Nothing that reads Markdown.
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "The CI run", "url": "https://ci.example.com/1"}]
    said = ["".join(run["text"] for run in block["inlines"]) for block in card["body"]]
    assert said[0] == "1.4.2 is paused · com.example.app"
    assert "gate: see [here](https://evil.example)" in said
    assert "actions" not in json.loads(teams.body_of(message()))["attachments"][0]["content"]


@pytest.mark.parametrize("filler", ["😀", "<", '"', "\\", "\n", "€"])
def test_teams_s_limit_is_kept(filler: str) -> None:
    facts = {f"f{number:02}": filler * 999 for number in range(40)}
    huge = message(reason=filler * 9999, run="https://ci.example.com/" + "x" * 900, **facts)
    assert len(teams.body_of(huge)) <= teams.MAX_BYTES


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"channel_is_archived", "HTTP 410 channel_is_archived"),
        (b"no_service\n", "HTTP 410 no_service"),
        (b"<html>T0/B0/x0</html>", "HTTP 410"),
        (b"T0/B0/x0", "HTTP 410"),
        (b"x" * 5000, "HTTP 410"),
        ("é".encode(), "HTTP 410"),
    ],
)
def test_slack_s_code_is_shown_and_nothing_else(body: bytes, found: str) -> None:
    wire = Wire(transport=httpx.MockTransport(lambda _request: httpx.Response(410, stream=httpx.ByteStream(body))))
    with pytest.raises(NotifyError) as caught:
        open_notifier(SPEC, ENVIRON, Path("/nowhere"), wire=wire).send(message())
    assert (caught.value.found, caught.value.retryable) == (found, False)
    assert "another incoming webhook" in str(caught.value.remedy)


def test_apprise_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotifyError, match=r"pip install 'otagate\[notify\]'"):
        open_notifier(NotifySpec("team", NotifyKind.APPRISE, "env:PLACE"), ENVIRON, Path("/nowhere"))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_plugin_of_apprise_that_breaks_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import apprise

    notifier = open_notifier(NotifySpec("team", NotifyKind.APPRISE, "env:PLACE"), {"PLACE": "ntfys://s3cret-topic"}, Path("/x"))
    assert logging.getLogger("apprise").propagate is False

    def broken(*_args: object, **_more: object) -> bool:
        raise RuntimeError("https://ntfy.sh/s3cret-topic")

    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    with pytest.raises(NotifyError) as caught:
        notifier.send(message())
    assert (caught.value.found, caught.value.retryable) == ("RuntimeError", True)
    assert "s3cret" not in str(caught.value) + caplog.text

    monkeypatch.setattr(apprise.Apprise, "add", broken)
    with pytest.raises(NotifyError, match="cannot be used") as caught:
        open_notifier(NotifySpec("team", NotifyKind.APPRISE, "env:PLACE"), {"PLACE": "ntfys://s3cret-topic"}, Path("/x"))
    assert "s3cret" not in str(caught.value)


def test_the_list_of_texts_is_the_whole_card() -> None:
    assert "1.4.2-production" in list(texts(json.loads(teams.body_of(message()))))


def test_a_place_that_cannot_be_connected_to_in_time() -> None:
    def slow(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("to T0/B0/x0")

    wire = Wire(transport=httpx.MockTransport(slow))
    with pytest.raises(NotifyError) as caught:
        open_notifier(SPEC, ENVIRON, Path("/nowhere"), wire=wire).send(message())
    assert (caught.value.found, caught.value.retryable) == ("no answer within 10s", True)
