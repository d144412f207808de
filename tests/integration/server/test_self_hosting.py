"""What docs/self-hosting.md has people do works: the proxies' files, backup and restore, the figures that alerts ask for."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from otagate._clock import to_text
from support.servers.ports import free_ports, running
from support.servers.postgres import binaries, new_database
from support.tls import self_signed
from support.update_server import APP, CHANNEL, NO_RATES, ServedApp, UpdateServer, device_id, facts, serving

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "self-hosting.md").read_text("utf-8")
FILES = ROOT / "examples" / "self-hosted"
NAME = "updates.example.com"
SECRET = "5e" * 32
VERSION = "1.1.0"
DEVICES = 12


def marked(mark: str) -> str:
    (text,) = re.findall(rf"^<!-- {mark} -->\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ServedApp:
    made = ServedApp.make(tmp_path_factory.mktemp("hosted") / "app", VERSION)
    made.promote(VERSION)
    return made


def tell(server: UpdateServer) -> None:
    """Have devices install the release; every third of them fails."""
    for number in range(DEVICES):
        device = device_id(number)
        assert server.post("/updates", facts(device))[0] == 200
        action = "update_fail" if number % 3 == 0 else "app_launch_ready"
        assert server.post("/stats", [facts(device, VERSION, action=action)])[0] == 200


def seen(server: UpdateServer, token: str) -> dict[str, int]:
    """Ask the operators' side for the counts of today."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    day, now = timedelta(days=1), datetime.now(UTC)
    span = {"start": to_text(now - day), "end": to_text(now + day)}
    query = urlencode({"app": APP, "release": VERSION, "channel": CHANNEL, **span})
    with closing(link):
        link.request("GET", f"/api/v1/metrics?{query}", headers={"Authorization": f"Bearer {token}"})
        answer = link.getresponse()
        assert answer.status == 200
        counts = json.load(answer)["counts"]
    return {name: counts[name] for name in ("devices", "success", "boot")}


def new_token(app: ServedApp, database: str) -> str:
    verb = ("token", "create", "--name", "t", "--verb", "metrics", "--app", APP, "--all-channels")
    said = app.shop.run(*verb, OTAGATE_DATABASE=database)
    assert said.code == 0, said.err
    return said.out.strip()


EXPECTED = {"devices": DEVICES, "success": 8, "boot": 4}


def test_a_copy_of_sqlite_that_was_made_under_way_has_the_same_counts_and_tokens(app: ServedApp, tmp_path: Path) -> None:
    first, last = marked("backup: sqlite").splitlines()
    (statement,) = re.findall(r'"(VACUUM INTO [^"]+)"$', first)
    assert last.startswith("cp -p /etc/otagate/secret ")
    kept, restored = tmp_path / "secret", tmp_path / "restored.sqlite"
    kept.write_text(SECRET)
    database, secret = f"sqlite:///{tmp_path / 'telemetry.sqlite'}", ("--secret", f"file:{kept}")
    with serving(app, database, *NO_RATES, *secret) as server:
        tell(server)
        token = new_token(app, database)
        with closing(sqlite3.connect(tmp_path / "telemetry.sqlite")) as connection:
            connection.execute(statement.replace("/var/backups/otagate.sqlite", str(restored)))
        assert seen(server, token) == EXPECTED
    with serving(app, f"sqlite:///{restored}", *NO_RATES, *secret) as server:
        assert seen(server, token) == EXPECTED
        tell(server)  # the same devices, told apart by the same secret: nobody is new
        assert seen(server, token) == EXPECTED
    kept.write_text(SECRET[::-1])
    with pytest.raises(RuntimeError, match=r"this is not the secret that the database's device ids were hashed with"):
        UpdateServer(app, f"sqlite:///{restored}", secret).start()


def test_a_dump_of_postgresql_has_the_same_counts_and_tokens(app: ServedApp, tmp_path: Path) -> None:
    old, server_of = new_database(), new_database().rpartition("/")
    new = f"{server_of[0]}/restored{os.getpid()}"
    environ = {"OTAGATE_DATABASE": old, "NEW_SERVER": f"{server_of[0]}/postgres", "NEW_DATABASE": new}
    secret = {"SECRET": SECRET}
    with serving(app, "env:URL", *NO_RATES, "--secret", "env:SECRET", environ={"URL": old, **secret}) as server:
        tell(server)
        token = new_token(app, old)
        script = (
            marked("backup: postgresql")
            .replace("createdb", "createdb --encoding=UTF8")
            .replace('--maintenance-db="$NEW_SERVER" otagate', f'--maintenance-db="$NEW_SERVER" restored{os.getpid()}')
        )
        path = f"{binaries()}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-euc", script], cwd=tmp_path, env={**environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert seen(server, token) == EXPECTED
    with serving(app, "env:URL", *NO_RATES, "--secret", "env:SECRET", environ={"URL": new, **secret}) as server:
        assert seen(server, token) == EXPECTED


def test_alerts_ask_for_figures_that_there_are(app: ServedApp, tmp_path: Path) -> None:
    assert yaml.safe_load(marked("prometheus: scrape"))["scrape_configs"][0]["authorization"]
    rules = yaml.safe_load(marked("prometheus: rules"))["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"\botagate_\w+", rule["expr"])} | set(
        re.findall(r"`(otagate_\w+)", PAGE)
    )
    with serving(app, f"sqlite:///{tmp_path / 't.db'}", *NO_RATES, "--metrics-public") as server:
        tell(server)
        server.post("/stats", [facts(device_id(1), "9.9.9", action="ping")])
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        with closing(link):
            link.request("GET", "/metrics")
            page = link.getresponse().read().decode()
    there = set(re.findall(r"^(otagate_\w+)", page, re.MULTILINE))
    assert len(named) >= 6
    assert named - there == set()


def test_what_the_page_has_people_ask_is_answered_as_it_says(app: ServedApp, tmp_path: Path) -> None:
    (text,) = re.findall(r"^curl -s http://127\.0\.0\.1:8000/updates .* -d '(\{.*?\})'$", PAGE, re.MULTILINE | re.DOTALL)
    asked = {**json.loads(text), "app_id": APP}
    with serving(app, f"sqlite:///{tmp_path / 't.db'}") as server:
        # `live` is the channel of phones that name none, and none of those that say they are in a channel that is not open.
        status, found = server.post("/updates", asked)
    assert status == 200
    assert isinstance(found, dict)
    assert found["version"] == VERSION
    assert set(re.findall(r"`(\w+)`", PAGE.partition("The answer has ")[2].partition(".")[0])) == set(found)


# The proxies.


@contextmanager
def behind(app: ServedApp, folder: Path) -> Iterator[UpdateServer]:
    options = ("--trusted-proxy", "127.0.0.1", "--public-url", f"https://{NAME}", "--rate-address", "1:20")
    with serving(app, f"sqlite:///{folder / 't.db'}", *options) as server:
        yield server


def nginx(folder: Path, port: int, server: UpdateServer) -> list[str]:
    _, pem = self_signed(folder, NAME)
    site = (FILES / "nginx.conf").read_text("utf-8")
    for old, new in {
        "/etc/otagate/tls/fullchain.pem": str(pem),
        "/etc/otagate/tls/privkey.pem": str(pem),
        "    listen [::]:443 ssl;\n": "",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server 127.0.0.1:8000 max_fails": f"server 127.0.0.1:{server.port} max_fails",
    }.items():
        assert old in site
        site = site.replace(old, new)
    paths = " ".join(f"{name}_temp_path {folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole = f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {paths} {site} }}"
    (folder / "nginx.conf").write_text(whole, "utf-8")
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, server: UpdateServer) -> list[str]:
    site = (FILES / "Caddyfile").read_text("utf-8")
    _, pem = self_signed(folder, NAME)
    head = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {port}\n}}\n"
    assert f"\n{NAME} {{\n" in site
    assert "{$OTAGATE_UPSTREAMS:127.0.0.1:8000}" in site
    site = site.replace(f"\n{NAME} {{\n", f"\n{NAME} {{\n\tbind 127.0.0.1\n\ttls {pem} {pem}\n").replace(
        "{$OTAGATE_UPSTREAMS:127.0.0.1:8000}", f"127.0.0.1:{server.port}"
    )
    (folder / "Caddyfile").write_text(head + site, "utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


PROXIES = {"nginx": nginx, "caddy": caddy}


class Link(http.client.HTTPSConnection):
    """Asks a proxy on loopback by its name."""

    def __init__(self, port: int, folder: Path) -> None:
        context = ssl.create_default_context(cafile=str(folder / "server.pem"))
        super().__init__(NAME, port, timeout=30, context=context)
        self._create_connection = self._to_loopback

    def _to_loopback(self, address: tuple[str, int], *_: object) -> socket.socket:
        return socket.create_connection(("127.0.0.1", address[1]), 30)

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Give status and body."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.request(method, path, raw, {"content-type": "application/json", **(headers or {})})
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("name", PROXIES)
def test_phones_reach_the_server_through_a_proxy(app: ServedApp, tmp_path: Path, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} here")
    (port,) = free_ports(1)
    with behind(app, tmp_path) as server:
        command = PROXIES[name](tmp_path, port, server)

        def is_ready() -> bool:
            try:
                with closing(Link(port, tmp_path)) as link:
                    return link.ask("GET", "/healthz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        with running(command, is_ready, tmp_path / "log"), closing(Link(port, tmp_path)) as link:
            check(link)


def check(link: Link) -> None:
    status, body = link.ask("POST", "/updates", facts(device_id(1)))
    found = json.loads(body)
    assert status == 200
    assert found["url"].startswith(f"https://{NAME}/bundles/sha256/")
    status, whole = link.ask("GET", found["url"].removeprefix(f"https://{NAME}"))
    assert status == 200
    status, piece = link.ask("GET", found["url"].removeprefix(f"https://{NAME}"), headers={"Range": "bytes=5-9"})
    assert (status, piece) == (206, whole[5:10])
    many = [facts(device_id(1), VERSION, action="ping", metadata={"why": "x" * 1500}) for _ in range(150)]
    assert len(json.dumps(many)) > 200_000
    assert link.ask("POST", "/stats", many)[0] == 200
    assert link.ask("GET", "/metrics")[0] == 404
    # What a client claims of its address does not count: the proxy's word does, so all of these are one address.
    statuses = [link.ask("POST", "/updates", facts(device_id(n)), {"X-Forwarded-For": f"192.0.2.{n}"})[0] for n in range(40)]
    assert statuses.count(429) >= 15
