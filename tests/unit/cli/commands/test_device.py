from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate._retry import Patience
from otagate.cli.commands import _server, device
from otagate.cli.main import run_command
from otagate.identity._outside import Outside
from otagate.server.parts import AdminRequest
from otagate.telemetry.tokens import Limit, Verb
from support.operators import APP, DEVICE, NOW, Desk
from support.project import Said

URL = "https://updates.example.com"
POLICY = (
    "version: 1\napp: {id: com.example.app}\nseal: {format: none}\nbranches: {main: {channel: stable}}\n"
    f"telemetry: {{server: {URL}, token: 'env:POLICY_TOKEN'}}\n"
)


class Shell:
    """The command, and the operators' side behind the wire."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.environ = {"OTAGATE_SERVER_TOKEN": desk.token()}
        self.sent: list[httpx.Request] = []
        self.answer: httpx.Response | None = None

    def __call__(self, *argv: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        code = run_command(["device", *argv], self.environ, self.folder, out, err)
        return Said(code, out.getvalue(), err.getvalue())

    def wire(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self.answer is not None:
            return self.answer
        body = json.loads(request.content) if request.content else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = AdminRequest(request.method, request.url.path, dict(request.url.params), headers, body, "203.0.113.7")
        reply = self.desk.api.handle(asked, NOW)
        self.desk.choices.refresh()
        return httpx.Response(reply.status, json=reply.body)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    desk = Desk(tmp_path / "t.db")
    shell = Shell(desk, tmp_path)
    ticks = iter(range(10**6))
    outside = Outside(sleep=lambda _: None, monotonic=lambda: float(next(ticks)), transport=httpx.MockTransport(shell.wire))
    real = _server.server_of

    def server_of(args: Any, env: Any) -> _server.Server:
        found = real(args, env)
        return _server.Server(found.url, found.app, found.token, outside)

    monkeypatch.setattr(device, "server_of", server_of)
    yield shell
    desk.close()


AT = ("--server", URL, "--app", APP)


def test_a_channel_is_given_seen_and_taken_back(shell: Shell) -> None:
    shell.desk.see()
    done = shell("set", DEVICE, "--channel", "beta", *AT)
    assert (done.code, done.err) == (0, "")
    assert shell.desk.override() == "beta"
    seen = shell("get", DEVICE, *AT).out
    rows = [" ".join(line.split()) for line in seen.splitlines()[1:]]
    assert rows == [
        "override beta",
        "follows stable",
        "runs 1.4.1",
        "is to run 1.4.2",
        "platform ios",
        "plugin 7.30.1",
        "native version 1.2.0",
        "test device no",
        "last seen 2026-11-21 09:00 UTC",
    ]
    taken = shell("unset", DEVICE.upper(), *AT, "--format", "json").json
    assert taken == {"schema": "otagate/device-channel/v1", "app": APP, "device": DEVICE.upper(), "channel": None}
    assert shell.desk.override() is None


def test_a_device_as_json(shell: Shell) -> None:
    shell.desk.see()
    found = shell("get", DEVICE, *AT, "--format", "json").json
    assert (found["schema"], found["device"]["plugin_version"]) == ("otagate/device/v1", "7.30.1")


def test_the_token_goes_in_a_header_only(shell: Shell) -> None:
    shell("get", DEVICE, *AT)
    request, token = shell.sent[0], shell.environ["OTAGATE_SERVER_TOKEN"]
    assert request.headers["authorization"] == f"Bearer {token}"
    assert token not in str(request.url)
    assert request.url.params["device_id"] == DEVICE


@pytest.mark.parametrize("action", [["set", DEVICE, "--channel", "beta"], ["unset", DEVICE]])
def test_a_dry_run_asks_nobody(shell: Shell, action: list[str]) -> None:
    done = shell(*action, *AT, "--dry-run")
    assert (done.code, "dry run: nothing was touched" in done.out, shell.sent) == (0, True, [])


def test_the_policy_names_server_app_and_token(shell: Shell) -> None:
    shell.desk.see()
    (shell.folder / "otagate.yml").write_text(POLICY)
    shell.environ = {"POLICY_TOKEN": shell.environ["OTAGATE_SERVER_TOKEN"]}
    assert shell("get", DEVICE).code == 0
    assert shell.sent[0].url.host == "updates.example.com"


def test_the_policy_s_token_goes_to_no_other_server(shell: Shell) -> None:
    (shell.folder / "otagate.yml").write_text(POLICY)
    shell.environ = {"POLICY_TOKEN": shell.environ["OTAGATE_SERVER_TOKEN"]}
    done = shell("get", DEVICE, "--server", "https://elsewhere.example.net")
    assert (done.code, "a token is missing" in done.err, shell.sent) == (2, True, [])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["get", "nonsense", *AT], "not a device id"),
        (["get", DEVICE], "which update server?"),
        (["get", DEVICE, "--server", URL], "which app?"),
        (["get", DEVICE, "--server", URL, "--app", "x"], "not an app id"),
        (["get", DEVICE, "--server", "http://updates.example.com", "--app", APP], "must not be sent there"),
        (["get", DEVICE, "--server", "https://u:p@updates.example.com", "--app", APP], "must not be sent there"),
        (["set", DEVICE, *AT], "--channel"),
        (["set", DEVICE, "--channel", "a b", *AT], "not a channel name"),
    ],
)
def test_what_a_command_line_can_get_wrong(shell: Shell, argv: list[str], said: str) -> None:
    done = shell(*argv)
    assert (done.code, done.out, shell.sent) == (2, "", [])
    assert said in done.err


def test_without_a_token(shell: Shell) -> None:
    shell.environ = {}
    done = shell("get", DEVICE, *AT)
    assert (done.code, "OTAGATE_SERVER_TOKEN" in done.err) == (2, True)


def test_what_the_server_refuses(shell: Shell) -> None:
    assert "no such device" in shell("get", DEVICE, *AT).err
    nowhere = shell("set", DEVICE, "--channel", "nowhere", *AT)
    assert (nowhere.code, "channel_not_found: there is no such channel" in nowhere.err) == (2, True)
    default = shell("set", DEVICE, "--channel", "stable", *AT)
    assert (default.code, "public_channel_override" in default.err) == (2, True)
    shell.environ["OTAGATE_SERVER_TOKEN"] = shell.desk.token(Verb.METRICS, channels=Limit.only("beta"))
    refused = shell("set", DEVICE, "--channel", "beta", *AT)
    assert (refused.code, "no valid token for this (HTTP 401)" in refused.err) == (2, True)
    assert shell.environ["OTAGATE_SERVER_TOKEN"] not in refused.err


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (httpx.Response(200, text="<html>"), 7, "an answer of an otagate server"),
        (httpx.Response(404, text="<html>"), 7, "HTTP 404"),
        (httpx.Response(404, json={"error": "not_found", "message": "there is nothing"}), 2, "not_found"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example.net"}), 7, "HTTP 302"),
        (httpx.Response(503, json={"error": "unavailable"}), 7, "HTTP 503"),
        (httpx.Response(500, json={"error": "internal", "message": "x"}), 7, "HTTP 500"),
        (httpx.Response(400, json={"error": "bad\x1b[31m"}), 2, "bad\\x1b[31m"),
        (httpx.Response(400, json={"error": ["x"], "message": {"y": 1}}), 2, "HTTP 400"),
    ],
)
def test_answers_of_something_else(shell: Shell, answer: httpx.Response, code: int, said: str) -> None:
    shell.answer = answer
    done = shell("get", DEVICE, *AT)
    assert (done.code, said in done.err) == (code, True), done.err
    assert shell.environ["OTAGATE_SERVER_TOKEN"] not in done.err


def test_an_answer_that_repeats_the_token_is_not_repeated(shell: Shell) -> None:
    token = shell.environ["OTAGATE_SERVER_TOKEN"]
    shell.answer = httpx.Response(400, json={"error": "bad", "message": f"your token {token} is no good"})
    assert token not in shell("get", DEVICE, *AT).err


def test_a_server_that_is_not_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody")

    monkeypatch.setattr(shell, "wire", gone)
    server = _server.Server(URL, APP, "t", Outside(sleep=lambda _: None, transport=httpx.MockTransport(gone)))
    monkeypatch.setattr(device, "server_of", lambda *_: server)
    monkeypatch.setattr("otagate.identity._wire.EXCHANGE", Patience(total=0.0))
    assert shell("get", DEVICE, *AT).code == 7
