"""Commands tell a place on loopback what they did; and a receiver as in docs/notifications.md takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import ExitCode
from otagate.flow.telling import BUDGET, MOST, PATIENCE
from otagate.notify import _post
from support.metric_server import send, serving
from support.project import POLICY, Project

pytestmark = pytest.mark.integration

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text("utf-8")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOTIFY = """\
notify:
  team: {{slack: "env:TEAM", events: ["rollout.paused"]}}
  hook: {{webhook: "env:HOOK", secret: "env:SECRET"}}
"""


@dataclass
class Listening:
    """What both places heard."""

    status: int = 200
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        if self.status == 200:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.heard.append((request.path.split("/")[1], headers, body))
        send(request, b"", status=self.status)

    def kinds(self) -> list[str]:
        return [json.loads(body)["type"] for name, _, body in self.heard if name == "hook"]


@pytest.fixture
def listening() -> Listening:
    return Listening()


@pytest.fixture
def project(tmp_path: Path, listening: Listening) -> Iterator[Project]:
    with serving(listening.respond) as base:
        made = Project(tmp_path / "app")
        made.environ |= {"TEAM": f"{base}/team/T0KEN", "HOOK": f"{base}/hook/T0KEN", "SECRET": SECRET}
        made.policy(POLICY + NOTIFY)
        yield made


def receiver() -> dict[str, Any]:
    """Give what the page's receiver defines."""
    (text,) = re.findall(r"<!-- tested: receiver -->\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(text, "docs/notifications.md", "exec"), found)
    return found


def test_commands_tell_what_they_did_and_looking_tells_nothing(project: Project, listening: Listening) -> None:
    done = project("run")
    assert (done.code, "notify" in done.err) == (0, False), done.err
    assert listening.kinds() == ["rollout.started", "rollout.advanced"]
    for argv in (("reconcile",), ("status",), ("plan",), ("history",), ("pause", "--dry-run"), ("run", "--dry-run"), ("run",)):
        assert project(*argv).code == 0
    assert len(listening.heard) == 2
    assert project("pause", "--reason", "<!channel> enough").code == 0
    assert listening.kinds()[2:] == ["rollout.paused"]
    (slack,) = [body for name, _, body in listening.heard if name == "team"]
    assert b"&lt;!channel&gt; enough" in slack
    assert project("resume").code == 0
    assert project("rollback").code == 0
    assert listening.kinds()[3:] == ["rollout.resumed", "rollout.rolled_back"]
    assert project("promote", "--channel", "live", "--release", "1.0.0").code == 0
    assert project("rollback", "--channel", "live").code == 0
    assert listening.kinds()[5:] == ["channel.rolled_back"]


def test_a_place_that_is_down_fails_nothing_and_hears_of_it_later(project: Project, listening: Listening) -> None:
    listening.status = 403
    done = project("run")
    assert done.code == 0
    assert "warning: notify hook: a place refuses what it is told: HTTP 403" in done.err
    assert "T0KEN" not in done.err
    listening.status = 200
    assert project("reconcile").code == 0
    assert listening.kinds() == ["rollout.started", "rollout.advanced"]


def test_soaks_that_are_waited_for_are_told_of_as_they_end(project: Project, listening: Listening) -> None:
    project.soak = "1s"
    project.policy(POLICY + NOTIFY)
    done = project("run", "--wait", "1s")
    assert done.code == 0, done.err
    assert listening.kinds()[:2] == ["rollout.started", "rollout.advanced"]


def test_a_test_is_sent_to_each_place_or_to_one(project: Project, listening: Listening) -> None:
    done = project("notify", "test")
    assert (done.code, [name for name, _, _ in listening.heard]) == (0, ["team", "hook"])
    assert "team (slack) was told" in done.out
    assert "hook (webhook) was told" in done.out
    assert project("notify", "test", "--name", "hook", "--format", "json").json["places"] == [
        {"name": "hook", "kind": "webhook", "told": True, "error": None}
    ]
    assert not (project.store / "apps").exists(), "a test leaves nothing in the store"


def test_a_test_that_does_not_get_through_says_why(project: Project, listening: Listening) -> None:
    listening.status = 404
    done = project("notify", "test")
    assert done.code == ExitCode.UNAVAILABLE
    assert "a place refuses what it is told: team" in done.out
    assert "found: HTTP 404" in done.out
    assert "T0KEN" not in done.out + done.err
    failed = project("notify", "test", "--format", "json", environ={"SECRET": "plain"}).json["places"]
    assert [place["told"] for place in failed] == [False, False]
    assert "the signing secret of a notification cannot be used" in failed[1]["error"]


def test_a_place_that_is_not_named_in_the_policy(project: Project) -> None:
    done = project("notify", "test", "--name", "nobody")
    assert (done.code, "one of team, hook" in done.err) == (2, True)
    project.policy(POLICY)
    done = project("notify", "test")
    assert (done.code, "the policy names no place to tell" in done.err) == (2, True)


def test_the_page_s_receiver_takes_what_is_sent_once(project: Project, listening: Listening) -> None:
    assert project("notify", "test", "--name", "hook").code == 0
    _, headers, body = listening.heard[0]
    page = receiver()
    assert page["SECRET"] == SECRET
    sent = int(headers["webhook-timestamp"])
    assert page["accept"](headers, body) is True
    assert page["accept"](headers, body) is False, "the same event again"
    page["seen"].clear()
    refused = [
        ({**headers}, body + b" ", sent),
        ({**headers, "webhook-id": "msg_x"}, body, sent),
        ({**headers, "webhook-timestamp": str(sent + 1)}, body, sent),
        ({**headers, "webhook-timestamp": "soon"}, body, sent),
        ({**headers, "webhook-signature": "v1,AAAA v1a,BBBB"}, body, sent),
        (headers, body, sent + 301),
    ]
    assert [page["accept"](*one) for one in refused] == [False] * len(refused)
    assert page["accept"]({**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}, body, sent) is True


def test_the_page_s_example_is_what_is_sent(project: Project, listening: Listening) -> None:
    (text,) = re.findall(r"```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert project("run").code == 0
    example, sent = json.loads(text), json.loads(listening.heard[0][2])
    assert set(example) == set(sent)
    assert set(example["data"]) == set(sent["data"])


def test_the_page_s_numbers_are_the_code_s() -> None:
    assert f"does not answer within {_post.TIMEOUT_S:.0f} seconds" in PAGE
    assert f"at most {MOST} messages to a place, and begins none after {BUDGET.seconds} seconds" in PAGE
    assert f"After {PATIENCE.total_seconds() / 3600:.0f} hours each run gives one message up" in PAGE
    assert f"asks for, up to {_post.LONGEST_WAIT_S:.0f} seconds" in PAGE
