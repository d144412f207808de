"""An app that can be served, and ``otagate serve`` as processes of its own on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from otagate.channel.transitions import offer, roll_back_to, set_stable, unborn
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, Context, ReleaseRef, Version, Weight
from otagate.policy.load import load_policy
from support.shop import Shop, open_shop

APP = "com.example.shop"
CHANNEL = "live"
SEED = "00112233445566778899aabbccddeeff"
READY_S = 90.0
OTAGATE = Path(sys.executable).parent / "otagate"
SERVER_SECTION = """\
server:
  default_channel: live
  channels:
    beta: {self_set: true}
"""


@dataclass
class ServedApp:
    """An app with releases in a store, whose channels the test moves.

    Attributes:
        shop: Its folder.
        environ: What the store and the keys need.
        history: Every state that a channel was given here, with the instants between which it came into force.
    """

    shop: Shop
    environ: dict[str, str] = field(default_factory=dict, repr=False)
    history: list[Moved] = field(default_factory=list)

    @classmethod
    def make(
        cls, folder: Path, *versions: str, storage: str | None = None, environ: Mapping[str, str] | None = None
    ) -> ServedApp:
        """Publish these versions; no channel names any yet. ``storage`` None: a folder."""
        shop = open_shop(folder, published=False)
        shop.edit("otagate.yml", "metrics: {file: metrics.json}\n", SERVER_SECTION + "metrics: {file: metrics.json}\n")
        if storage is not None:
            shop.edit("otagate.yml", "storage: file:.otagate/store", f"storage: {json.dumps(storage)}")
        app = cls(shop, dict(environ or {}))
        for version in versions:
            app.publish(version)
        return app

    @property
    def policy(self) -> Path:
        """Where the policy stands."""
        return self.shop.path("otagate.yml")

    @property
    def public_key(self) -> str:
        """The PEM that is built into the app."""
        return self.shop.path(".otagate/keys/encryption.pub.pem").read_text()

    def publish(self, version: str) -> None:
        """Publish other content under this version."""
        self.shop.path("package.json").write_text(json.dumps({"name": "shop", "version": version}))
        self.shop.path("dist/app.js").write_text(f"CapacitorUpdater.notifyAppReady() // {version}\n" * 20)
        self.shop.commit(version)
        said = self.shop.run("upload", **self.environ)
        assert said.code == 0, said.err

    def workspace(self) -> Workspace:
        """Open what the policy names."""
        return Workspace(load_policy(self.policy), Context(provider="none"), {**self.shop.environ, **self.environ})

    def ref(self, version: str) -> ReleaseRef:
        """Name a published release."""
        published = self.workspace().releases.get(Version(version))
        assert published is not None, f"{version} is not published"
        return published.ref

    def state(self, channel: str = CHANNEL) -> ChannelState:
        """Read a channel."""
        reading = self.workspace().channels_read_only.read(ChannelName(channel))
        return unborn(self.workspace().policy.app, ChannelName(channel)) if reading is None else reading.state

    def move(self, change: Callable[[ChannelState], ChannelState], channel: str = CHANNEL) -> ChannelState:
        """Put a channel into its next state and write down when."""
        workspace, name = self.workspace(), ChannelName(channel)
        reading = workspace.channels.read(name)
        before = unborn(workspace.policy.app, name) if reading is None else reading.state
        after = change(before)
        since = time.time()
        if after != before:
            workspace.channels.move(after, None if reading is None else reading.token, datetime.now(UTC))
        self.history.append(Moved(after, since, time.time()))
        return after

    def promote(self, version: str, channel: str = CHANNEL) -> ChannelState:
        """Make a release stable at once."""
        return self.move(lambda state: set_stable(state, self.ref(version)), channel)

    def ramp(self, version: str, percent: int, channel: str = CHANNEL) -> ChannelState:
        """Ramp a release up to a share."""
        return self.move(lambda state: offer(state, self.ref(version), Weight(percent * 100), SEED), channel)

    def roll_back(self, version: str | None, channel: str = CHANNEL) -> ChannelState:
        """Go back to a release, or to the built-in bundle."""
        return self.move(lambda state: roll_back_to(state, None if version is None else self.ref(version)), channel)


@dataclass(frozen=True, slots=True)
class Moved:
    """A channel's state; it was written somewhere between ``since`` and ``until``, Unix seconds."""

    state: ChannelState
    since: float
    until: float


@dataclass
class UpdateServer:
    """One ``otagate serve``, which can be killed and started again at the same address.

    Attributes:
        app: What it serves.
        database: URL or reference.
        options: Further options.
        environ: Beyond what the app needs, such as the variables that references name.
        port: 0: a free one, kept from the first start on.
        is_killed: It will be, and would leave a broken file of measurements behind.
        measures: The coverage of what it does, which makes it slower.
    """

    app: ServedApp
    database: str
    options: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int = 0
    is_killed: bool = False
    measures: bool = True
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="otagate-served-")))
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says on standard error."""
        return self.folder / "serve.log"

    @property
    def pid(self) -> int:
        """The first process."""
        assert self.process is not None
        return self.process.pid

    def start(self, timeout: float = READY_S) -> UpdateServer:
        """Start it; return when all its workers answer."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        # Where there is setpriv, a server also ends with a test process that is killed.
        guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
        command = [*guard, OTAGATE, "serve", "--policy", self.app.policy, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--database", self.database, "--ready-file", ready, *self.options]
        environ = {**self.app.shop.environ, **self.app.environ, **self.environ}
        environ.update({name: value for name, value in os.environ.items() if name == "PYTHONPATH" or self._measures(name)})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.app.shop.folder,
                env=environ,
                start_new_session=True,
            )
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            if ready.exists():
                self.port = json.loads(ready.read_text())["port"]
                return self
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the server did not get ready: {self.log.read_text(errors='replace')[-4000:]}")

    def _measures(self, name: str) -> bool:
        return name.startswith("COVERAGE_") and self.measures and not self.is_killed

    def stop(self, timeout: float = 60.0) -> int:
        """End it as an operator does; give its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it with all its workers, as a power cut does."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def post(self, path: str, body: object, timeout: float = 30.0) -> tuple[int, object]:
        """Send JSON; give status and JSON."""
        request = urllib.request.Request(
            self.base + path, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return int(answer.status), json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def serving(app: ServedApp, database: str, *options: str, environ: Mapping[str, str] | None = None) -> Iterator[UpdateServer]:
    """Run a server until the ``with`` body ends."""
    server = UpdateServer(app, database, options, environ or {})
    try:
        yield server.start()
    finally:
        server.kill()


NO_RATES = ("--rate-address", "0", "--rate-app", "0")
"""Options under which one address may load a server."""


def device_id(number: int) -> str:
    """Give a device's id."""
    return f"00000000-0000-4000-8000-{number:012x}"


def facts(device: str, version: str = "builtin", **more: object) -> dict[str, object]:
    """Give what a plugin 8 says about its device with every request."""
    return {
        "platform": "android",
        "device_id": device,
        "app_id": APP,
        "custom_id": "",
        "version_build": "1.0.0",
        "version_code": "1",
        "version_os": "15",
        "version_name": version,
        "plugin_version": "8.51.23",
        "is_emulator": False,
        "is_prod": True,
        "defaultChannel": "",
        **more,
    }
