"""The verbs ``token`` and ``device`` against a server that runs, and its operators' side over real connections."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from otagate.cli.main import run_command
from support.project import Said
from support.served import APP, device
from support.served_process import Served, served

pytestmark = pytest.mark.integration
DEVICE = "12345678-0000-4000-8000-00000000000a"
OTHER_DEVICE = "12345678-0000-4000-8000-00000000000b"
LIMITS = ("--app", APP, "--all-channels")
SOON_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("operators"), workers=2) as running:
        yield running


class Shell:
    def __init__(self, server: Served, folder: Path) -> None:
        self.folder = folder
        self.environ = {"OTAGATE_DATABASE": f"sqlite:///{server.folder / 'telemetry.sqlite'}", "USER": "ana"}
        self.url = server.url

    def __call__(self, *argv: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        code = run_command(argv, self.environ, self.folder, out, err)
        return Said(code, out.getvalue(), err.getvalue())

    def device(self, *argv: str) -> Said:
        return self("device", *argv, "--server", self.url, "--app", APP)


@pytest.fixture
def shell(server: Served, tmp_path: Path) -> Shell:
    return Shell(server, tmp_path)


def test_an_operator_gives_a_device_a_channel(server: Served, shell: Shell) -> None:
    made = shell("token", "create", "--name", "desk", "--verb", "device-write", "--verb", "device-read", *LIMITS)
    shell.environ["OTAGATE_SERVER_TOKEN"] = made.out.strip()
    done = shell.device("set", DEVICE, "--channel", "beta")
    assert done.code == 0, done.err
    with server.client() as client:
        client.post("/updates", json=device(device_id=DEVICE))
    end = time.monotonic() + SOON_S
    while (seen := shell.device("get", DEVICE, "--format", "json")).code and time.monotonic() < end:
        time.sleep(0.05)
    assert seen.json["device"]["channel"] == "beta"
    assert shell.device("unset", DEVICE).code == 0
    assert "channel" not in shell.device("get", DEVICE, "--format", "json").json["device"]


def test_a_revoked_token_is_refused_by_every_worker_at_once(server: Served, shell: Shell) -> None:
    token = shell("token", "create", "--name", "ci", "--verb", "metrics", *LIMITS).out.strip()
    query = {"app": APP, "since": "2026-01-01T00:00:00Z"}

    def statuses() -> set[int]:
        found = set()
        for _ in range(20):  # each on a connection of its own, so that both workers are asked
            with server.client() as client:
                found.add(client.get("/api/v1/in-use", params=query, headers={"Authorization": token}).status_code)
        return found

    assert statuses() == {200}
    assert shell("token", "revoke", token[4:16]).code == 0
    assert statuses() == {401}
    assert shell("token", "list", "--format", "json").json["tokens"][-1]["last_used"] is not None


def test_figures_need_a_token_for_everything(server: Served, shell: Shell) -> None:
    limited = shell("token", "create", "--name", "x", "--verb", "metrics", *LIMITS).out.strip()
    every = shell("token", "create", "--name", "x", "--verb", "metrics", "--all-apps", "--all-channels").out.strip()
    with server.client() as client:
        answers = [client.get("/metrics", headers={"Authorization": f"Bearer {token}"}) for token in (limited, every)]
        assert client.get("/metrics").status_code == 401
    assert [answer.status_code for answer in answers] == [401, 200]


def test_all_of_it_is_in_the_audit(server: Served, shell: Shell) -> None:
    verbs = ("--verb", "device-write", "--verb", "device-read", "--verb", "metrics")
    token = shell.environ["OTAGATE_SERVER_TOKEN"] = shell("token", "create", "--name", "a", *verbs, *LIMITS).out.strip()
    for words in (("set", OTHER_DEVICE, "--channel", "beta"), ("get", OTHER_DEVICE), ("unset", OTHER_DEVICE)):
        shell.device(*words)
    with server.client() as client:
        query = {"app": APP, "since": "2026-01-01T00:00:00Z"}
        assert client.get("/api/v1/in-use", params=query, headers={"Authorization": token}).status_code == 200
    assert shell("token", "revoke", token[4:16]).code == 0
    assert shell("token", "audit", "--verify").code == 0
    kinds = [entry["kind"] for entry in shell("token", "audit", "--limit", "1000", "--format", "json").json["entries"]]
    assert {"token.created", "token.revoked", "device.set", "device.read", "device.unset", "metrics.in_use"} <= set(kinds)
    assert kinds.count("auth.failed") <= 4  # of each worker once a minute


def raw(server: Served, lines: list[str], body: bytes = b"") -> int:
    """Send a request byte for byte; give the status."""
    url = urlsplit(server.url)
    head = "\r\n".join([*lines, f"Host: {url.netloc}", "Connection: close", f"Content-Length: {len(body)}", "", ""])
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head.encode("latin-1") + body)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1]) if answer else 0


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        (["OPTIONS /device HTTP/1.1", "Origin: https://evil.example", "Access-Control-Request-Method: POST"], b"", 405),
        (["HEAD /device?app_id=x HTTP/1.1"], b"", 405),
        (["PUT /device HTTP/1.1"], b"", 405),
        (["POST /device HTTP/1.1", "X-HTTP-Method-Override: GET", "Content-Type: application/json"], b"{}", 401),
        (["GET /device HTTP/1.1", "Authorization: \xff\xfe"], b"", 401),
        (["GET /device HTTP/1.1", "Authorization: " + "A" * 4000], b"", 401),
        (["GET /device?app_id=%00&device_id=%0A HTTP/1.1"], b"", 401),
        (["GET /device?app_id=%FF HTTP/1.1"], b"", 400),
        (["GET /device?app_id='%20OR%201=1%20-- HTTP/1.1"], b"", 401),
        (["DELETE /device HTTP/1.1", "Content-Type: application/json"], b"\xff\xfe", 400),
        (["POST /device HTTP/1.1", "Content-Type: application/json"], b"[" * 60_000, 400),
        (["GET /api/v1/tokens HTTP/1.1"], b"", 404),
        (["POST /api/v1/metrics HTTP/1.1", "Content-Type: application/json"], b"{}", 405),
    ],
)
def test_odd_requests_are_refused_as_documented(server: Served, lines: list[str], body: bytes, status: int) -> None:
    assert raw(server, lines, body) == status


def test_two_tokens_in_two_headers_of_one_name_are_one_at_most(server: Served, shell: Shell) -> None:
    token = shell("token", "create", "--name", "x", "--verb", "metrics", *LIMITS).out.strip()
    request = [f"GET /api/v1/in-use?app={APP}&since=2026-01-01T00:00:00Z HTTP/1.1", f"Authorization: {token}"]
    assert raw(server, request) == 200
    assert raw(server, [*request, "Authorization: nonsense"]) == 401
