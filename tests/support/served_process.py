"""An update server as a process of its own: real transport, service, telemetry and operators' side, over an app in memory.

``python -c "from support.served_process import main; main()" FOLDER WORKERS``; it says where it listens in
``FOLDER/ready.json``, and the token of an operator stands in ``FOLDER/token``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx

from otagate._clock import SystemClock
from otagate.server.admin import failures
from otagate.server.admin.api import AdminApi
from otagate.server.choices import PolledChoices
from otagate.server.http.app import UpdateApp
from otagate.server.http.links import ServerLinks
from otagate.server.http.options import HttpOptions
from otagate.server.http.prometheus import shared_folder
from otagate.server.http.rates import NO_LIMIT, Limits, Rate, RouteClass
from otagate.server.parts import ServerParts
from otagate.server.service import PluginService
from otagate.server.transport.options import RunOptions
from otagate.server.transport.runner import serve
from otagate.telemetry.intake import ThreadIntake
from otagate.telemetry.secret import device_key
from otagate.telemetry.sql import open_telemetry
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.tokens import Limit, Scope, Verb
from support.measured import unmeasured
from support.served import BundlesInMemory, Views, channel, release, view

SECRET = bytes(range(32))
READY_S = 90.0


def app_view() -> Views:
    """Give an app with a stable channel and one that devices may choose, far from expiry."""
    later = datetime.now(UTC) + timedelta(days=30)
    channels = [channel("1.2.0", expires=later), channel("1.2.0", name="beta", expires=later)]
    return Views([view(channels, [release("1.2.0")])])


def make_app(database: str) -> UpdateApp:
    """Put a worker's parts together; without limits by rate and by failed attempts, so that everything behind is reached."""
    failures.MOST = 1_000_000_000
    telemetry = open_telemetry(database, os.environ, secret=SECRET)
    catalog, choices, links = app_view(), PolledChoices(telemetry), ServerLinks()
    hash_device = partial(device_key, SECRET)
    intake = ThreadIntake(telemetry)
    parts = ServerParts(
        service=PluginService(catalog, choices, links, hash_device),
        catalog=catalog,
        links=links,
        bundles=BundlesInMemory(),
        telemetry=telemetry,
        choose=choices.choose,
        intake=intake,
        admin=AdminApi(TokenStore(telemetry.engines), telemetry, catalog, choices, hash_device),
        background=(choices, intake),
        base_url=None,
        metrics_public=False,
        clock=SystemClock(),
    )
    limits = Limits(address=dict.fromkeys(RouteClass, NO_LIMIT), app=Rate(0))
    return UpdateApp(parts, HttpOptions(limits=limits))


def main() -> None:
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    database = f"sqlite:///{folder / 'telemetry.sqlite'}"
    telemetry = open_telemetry(database, os.environ, secret=SECRET)
    scope = Scope("tests", Limit.all(), Limit.all(), frozenset(Verb))
    made = TokenStore(telemetry.engines).create(scope, timedelta(days=1), actor="command:tests", now=datetime.now(UTC))
    telemetry.close()
    (folder / "token").write_text(made[1].text)
    options = RunOptions(port=0, workers=workers, ready_file=folder / "ready.json", max_connections_per_address=4096)
    with shared_folder() if workers > 1 else contextlib.nullcontext():
        serve(options, partial(make_app, database))


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    token: str
    folder: Path

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)


@contextmanager
def served(folder: Path, workers: int = 1, *, measures: bool = True) -> Iterator[Served]:
    """Run one until the end, which must be calm; ``measures``: the coverage of what it does."""
    command = [sys.executable, "-c", "from support.served_process import main; main()", str(folder), str(workers)]
    tests, environ = str(Path(__file__).parents[1]), dict(os.environ) if measures else unmeasured()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={**environ, "PYTHONPATH": tests})
    try:
        ready = _ready(folder, process)
        yield Served(ready["url"], (folder / "token").read_text(), folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (folder / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _ready(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, str] = json.loads((folder / "ready.json").read_bytes())
            return found
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text())
