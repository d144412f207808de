"""The demo's app: a folder with a policy, keys and built files; nothing of it is needed elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otagate._fs import translate
from otagate.seal.keys import CreatedKeys, create_keys

APP_ID = "com.example.otagate.demo"
NATIVE = "1.0.0"
_POLICY = """\
# What `otagate demo` shipped. Soaks last seconds so that the demo does; in life they last a day.
version: 1
app:
  id: {app_id}
build:
  output: dist
versioning: package # the version in package.json
seal:
  format: capgo
  encryption_key: file:.otagate/keys/encryption.pem
  signing_key: file:.otagate/keys/signing.pem
trust:
  keys: ["{trust}"]
storage: file:.otagate/store
branches:
  main: {{track: production}}
tracks:
  production:
    - {{phase: beta, channel: beta, soak: 2s, allow_short_soak: true}}
    - {{phase: stable, channel: stable, weights: [50%, 100%], soak: 2s, allow_short_soak: true}}
server:
  default_channel: stable
  channels:
    beta: {{self_set: true}} # testers choose it in the app
telemetry:
  database: sqlite:///.otagate/telemetry.db # what `otagate serve` counts
gates:
  device_success_rate: {{min: 90%, action: rollback, min_sample: 6, maturity: 0s}}
  crash_rate: {{max: 5%, action: rollback, min_sample: 6}}
evaluation:
  alpha_pause: 1% # as alpha_rollback: what is bad enough to pause goes back at once, whichever gate sees it first
"""
_PAGE = "<!doctype html>\n<title>demo {version}</title>\n<script src='app.js'></script>\n"
_SCRIPT = "// {version}\nCapacitorUpdater.notifyAppReady()\n"


@dataclass(frozen=True, slots=True)
class Shop:
    """The app as it lies there.

    Attributes:
        folder: Where.
        keys: Its keys.
    """

    folder: Path
    keys: CreatedKeys

    @property
    def policy(self) -> Path:
        """The policy file."""
        return self.folder / "otagate.yml"

    @property
    def database(self) -> str:
        """Address of the telemetry's database, relative to the folder."""
        return "sqlite:///.otagate/telemetry.db"

    def build(self, version: str) -> None:
        """Write what a build of this version would.

        Raises:
            OtagateError: It cannot be written.
        """
        try:
            _write(self.folder, version)
        except OSError as error:
            raise translate(error, "the demo's app cannot be written", self.folder) from error


def open_shop(folder: Path) -> Shop:
    """Make the app in an empty folder.

    Raises:
        ConflictError: There is one already.
        OtagateError: It cannot be written.
    """
    keys = create_keys(folder / ".otagate" / "keys")
    shop = Shop(folder, keys)
    shop.build(NATIVE)
    try:
        shop.policy.write_text(_POLICY.format(app_id=APP_ID, trust=keys.trust), encoding="utf-8")
    except OSError as error:
        raise translate(error, "the demo's policy cannot be written", folder) from error
    return shop


def _write(folder: Path, version: str) -> None:
    output = folder / "dist"
    output.mkdir(exist_ok=True)
    (folder / "package.json").write_text(f'{{"name": "demo", "version": "{version}"}}\n', encoding="utf-8")
    (output / "index.html").write_text(_PAGE.format(version=version), encoding="utf-8")
    (output / "app.js").write_text(_SCRIPT.format(version=version), encoding="utf-8")
