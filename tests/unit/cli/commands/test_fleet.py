from __future__ import annotations

import io
import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.cli.commands import fleet as verb
from otagate.cli.main import build_parser, run_command
from otagate.cli.output import CommandEnv
from otagate.errors import ExitCode
from otagate.fleet import http_transport, live
from otagate.fleet.config import FleetConfig
from otagate.fleet.run import Fleet
from support.hand_made_server import BASE, HandMadeServer
from support.shop import open_shop
from support.tls import self_signed

AGAINST = ["fleet", "run", "--against", BASE, "--app", "com.example.app"]


def call(argv: list[str], folder: Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_command(argv, {}, folder, out, err)
    return code, out.getvalue(), err.getvalue()


def bridge(server: HandMadeServer) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if url.endswith(".zip"):
            got = server.download(url, 0, at=0.0)
            return httpx.Response(got.status, content=got.body)
        body = json.loads(request.content) if request.content else dict(request.url.params)
        try:
            got = server.request(request.method, url.split("?", maxsplit=1)[0], body, at=0.0)
        except Exception as error:
            raise httpx.ConnectError("no") from error
        return httpx.Response(got.status, json=got.body)

    return httpx.MockTransport(answer)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> HandMadeServer:
    """Answer over a made-up network, under a clock that jumps."""
    made = HandMadeServer()
    made.offers("1.2.3")
    real = http_transport.HttpTransport
    monkeypatch.setattr(
        http_transport, "HttpTransport", lambda connections, **_more: real(connections=connections, transport=bridge(made))
    )

    def at_once(fleet: Fleet, *, duration_s: float, speed: float, threads: int, on_progress: Any) -> None:
        fleet.run_until(fleet.now + duration_s * speed)
        on_progress(1.0)

    monkeypatch.setattr(live, "run_live", at_once)
    return made


def test_a_run_ends_with_a_table(server: HandMadeServer, tmp_path: Path) -> None:
    code, out, err = call([*AGAINST, "--devices", "20", "--duration", "20m", "--speed", "100x"], tmp_path)
    assert (code, err) == (0, "")
    assert "20 devices" in out
    assert "rolled back" in out
    assert "1.2.3" in out


def test_and_as_json(server: HandMadeServer, tmp_path: Path) -> None:
    more = ["--devices", "20", "--speed", "200", "--boot-failure", "0%", "--boot-failure", "1.2.3=100%", "--format", "json"]
    code, out, _err = call([*AGAINST, *more], tmp_path)
    data = json.loads(out)
    assert (code, data["schema"], data["devices"]) == (0, "otagate/fleet/v1", 20)
    (release,) = data["releases"]
    assert release["happened"]["boot"] == release["happened"]["set"] > 10
    assert release["expected_counts"]["boot"] == release["happened"]["boot"]
    assert release["is_exact"]
    assert data["requests"] == len(server.requests) + len(server.ranges)
    assert data["errors"] == 0
    assert data["latency_ms"]["p99"] >= data["latency_ms"]["p50"] >= 0
    assert data["events"]["acknowledged"] == len(server.events())


def test_a_fleet_that_cannot_keep_up_says_so(server: HandMadeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def too_late(fleet: Fleet, *, duration_s: float, speed: float, **_more: Any) -> None:
        fleet.run_until(fleet.now + duration_s * speed)
        fleet.now += 10_000_000

    monkeypatch.setattr(live, "run_live", too_late)
    _code, out, _err = call([*AGAINST, "--devices", "3"], tmp_path)
    assert "behind; take fewer devices" in out


def test_without_an_offer_it_says_so(server: HandMadeServer, tmp_path: Path) -> None:
    server.update = {"error": "no_channel", "message": "x", "kind": "failed"}
    _code, out, _err = call([*AGAINST, "--devices", "3"], tmp_path)
    assert "no release was offered" in out


def test_a_server_that_never_answers_is_an_error(server: HandMadeServer, tmp_path: Path) -> None:
    server.is_dead = True
    code, out, err = call([*AGAINST, "--devices", "9", "--duration", "2m"], tmp_path)
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert "did not answer once" in err


def test_the_app_may_come_from_the_policy(server: HandMadeServer, tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text("version: 1\napp: {id: com.example.other}\nbranches: {main: {channel: stable}}\n")
    call(["fleet", "run", "--against", BASE, "--devices", "1", "--speed", "1000x"], tmp_path)
    assert {event["app_id"] for event in server.events()} == {"com.example.other"}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--devices", "0"], "--devices"),
        (["--threads", "5000"], "--threads"),
        (["--duration", "soon"], "--duration"),
        (["--speed", "fast"], "--speed"),
        (["--speed", "0x"], "--speed"),
        (["--loss", "200%"], "--loss"),
        (["--crash", "some"], "--crash"),
        (["--crash", "=3%"], "--crash"),
        (["--generation", "8.51.23=much"], "--generation"),
        (["--generation", "3.0.0"], "plugin version"),
        (["--platform", "andriod"], "did you mean android"),
        (["--choose", "beta"], "--choose"),
        (["--sessions", "0"], "sessions_per_day"),
        (["--against", "updates.example.com"], "--against"),
        (["--against", "http://[x"], "--against"),
        (["--against", "https://me:secret@x"], "--against"),
        (["--ca", "key.pem"], "key.pem"),
        (["--public-key", "key.pem"], "public key"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    server: HandMadeServer, tmp_path: Path, more: list[str], named: str
) -> None:
    (tmp_path / "key.pem").write_text("no key")
    code, out, err = call([*AGAINST, *more], tmp_path)
    assert (code, out) == (ExitCode.USAGE, "")
    assert named in err
    assert "secret" not in err
    assert server.requests == []


@pytest.mark.parametrize("option", ["--ca", "--public-key"])
def test_files_that_are_not_there(server: HandMadeServer, tmp_path: Path, option: str) -> None:
    code, _out, err = call([*AGAINST, option, "none.pem"], tmp_path)
    assert code == ExitCode.USAGE
    assert "none.pem" in err


def test_a_certificate_is_trusted_besides_the_systems(tmp_path: Path) -> None:
    _context, path = self_signed(tmp_path)
    trust = verb._trust(path.name, tmp_path)
    assert isinstance(trust, ssl.SSLContext)
    assert trust.cert_store_stats()["x509"] > 0


def test_arguments_become_a_configuration(server: HandMadeServer, tmp_path: Path) -> None:
    more = [
        *("--generation", "7.0.50=3", "--generation", "8.51.23", "--platform", "ios", "--choose", "beta=5%"),
        *("--corrupt", "1%", "--crash", "1.0.0=2%", "--js-error", "3%", "--loss", "4%", "--arrival", "daily"),
        *("--auto-update", "always", "--channel", "main", "--native", "4.0.0"),
    ]
    args = build_parser("fleet").parse_args([*AGAINST[1:], "--against", f"{BASE}/updates", *more])
    found: FleetConfig = verb._config(args, CommandEnv({}, tmp_path))
    assert found.base == BASE
    assert found.generations == {"7.0.50": 3.0, "8.51.23": 1.0}
    assert (found.platforms, found.chooses, found.loss) == ({"ios": 1.0}, {"beta": 0.05}, 0.04)
    assert (found.other_faults.integrity, found.other_faults.crash, found.other_faults.error) == (0.01, 0.0, 0.03)
    assert (found.faults_of("1.0.0").crash, found.faults_of("1.0.0").integrity) == (0.02, 0.01)
    assert (found.arrival, found.auto_update, found.channel, found.native) == ("daily", "always", "main", "4.0.0")


def test_the_public_key_is_that_of_the_policy(server: HandMadeServer, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app", published=False)
    args = build_parser("fleet").parse_args(["run", "--against", BASE])
    env = CommandEnv({}, shop.folder)
    assert verb._config(args, env).public_key == shop.path(".otagate/keys/encryption.pub.pem").read_text()
    other = build_parser("fleet").parse_args(AGAINST[1:])
    assert verb._config(other, env).public_key is None


def test_without_the_policys_key_it_is_said(server: HandMadeServer, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app", published=False)
    shop.path(".otagate/keys/encryption.pem").unlink()
    warned: list[str] = []
    env = CommandEnv({}, shop.folder, warn=warned.append)
    assert verb._config(build_parser("fleet").parse_args(["run", "--against", BASE]), env).public_key is None
    assert len(warned) == 1
    assert "--public-key" in warned[0]


def test_who_interrupts_gets_the_table_nevertheless(
    server: HandMadeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(fleet: Fleet, **_more: Any) -> None:
        fleet.run_until(fleet.now + 7200)
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "run_live", interrupted)
    code, out, err = call([*AGAINST, "--devices", "20"], tmp_path)
    assert code == 0
    assert "interrupted" in err
    assert "20 devices" in out
    assert "1.2.3" in out
