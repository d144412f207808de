"""The real Capgo CLI opens what we seal, we open what it seals, and each takes the other's keys. Offline throughout."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from otagate.errors import VerificationError
from otagate.model import Digest
from otagate.seal.capgo import seal_capgo
from otagate.seal.capgo_open import open_capgo
from otagate.seal.keys import create_keys, load_rsa_private, rsa_public_pem_pkcs1
from support import js
from support.interop import APP_ID, NOWHERE, Shipment, flip, ship

# The first to run installs npm packages, which takes as long as the network takes.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(js.INSTALL_SECONDS)]

# The CLI picks the checksum's encoding by the plugin that it finds installed in the app.
HEX_PLUGIN, BASE64_PLUGIN = "@capgo/capacitor-updater", "capacitor-updater-7"
PLUGINS = (HEX_PLUGIN, BASE64_PLUGIN)


@dataclass(frozen=True, slots=True)
class App:
    """A Capacitor project as far as the Capgo CLI looks at it."""

    folder: Path
    plugin: str

    @property
    def config(self) -> Path:
        """Its capacitor.config.json."""
        return self.folder / "capacitor.config.json"

    def capgo(self, *arguments: str | Path) -> js.Ended:
        """Run the Capgo CLI here, with a home of its own."""
        program = js.modules() / "@capgo" / "cli" / "dist" / "index.js"
        return js.run([js.tool("node"), program, *arguments], self.folder, self.folder / "home")

    def result(self, *arguments: str | Path) -> dict[str, str]:
        """Run a command of the CLI that must succeed and print JSON."""
        ended = self.capgo(*arguments, "--json")
        assert ended.code == 0, ended
        answer = json.loads(ended.stdout)
        assert isinstance(answer, dict)
        return answer


def make_app(folder: Path, plugin: str, public_key: str | None = None) -> App:
    """Write the project; its plugin is a link to the one of tests/js."""
    (folder / "home").mkdir(parents=True)
    installed = folder / "node_modules" / "@capgo" / "capacitor-updater"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(js.modules() / plugin)
    version = json.loads((installed / "package.json").read_text())["version"]
    (folder / "package.json").write_text(
        json.dumps({"name": "app", "version": "1.0.0", "dependencies": {"@capgo/capacitor-updater": version}}),
    )
    updater = {"localApi": NOWHERE, "localApiFiles": NOWHERE, "localSupa": NOWHERE, "localSupaAnon": "none"}
    if public_key is not None:
        updater["publicKey"] = public_key
    config = {"appId": APP_ID, "appName": "App", "webDir": "www", "plugins": {"CapacitorUpdater": updater}}
    app = App(folder, plugin)
    app.config.write_text(json.dumps(config))
    return app


def checksum_of(shipment: Shipment, plugin: str) -> str:
    """The checksum of our bundle in the encoding that this plugin takes."""
    sealed = shipment.sealed
    return str(sealed.checksum_hex if plugin == HEX_PLUGIN else sealed.checksum_base64)


@pytest.fixture(scope="module")
def shipment(tmp_path_factory: pytest.TempPathFactory) -> Shipment:
    return ship(tmp_path_factory.mktemp("shipment"))


@pytest.fixture(params=PLUGINS)
def app(request: pytest.FixtureRequest, shipment: Shipment, tmp_path: Path) -> App:
    return make_app(tmp_path / "app", request.param, shipment.keys.encryption_public_pem)


def decrypt(app: App, file: Path, session_key: str, checksum: str, public_key: Path) -> tuple[js.Ended, Path]:
    """Let the CLI decrypt a file (its ``--key`` is the public one here), and say where it would put the zip."""
    ended = app.capgo("bundle", "decrypt", file, session_key, "--checksum", checksum, "--key", public_key)
    return ended, file.with_name(f"{file.name}_decrypted.zip")


def test_the_cli_opens_our_bundle_and_accepts_its_checksum(app: App, shipment: Shipment) -> None:
    file = app.folder / "ours.zip"
    file.write_bytes(shipment.encrypted.read_bytes())
    ended, opened = decrypt(
        app, file, str(shipment.sealed.session_key), checksum_of(shipment, app.plugin), shipment.keys.encryption_public
    )
    assert ended.code == 0, ended
    assert opened.read_bytes() == shipment.archive.read_bytes()


@dataclass(frozen=True, slots=True)
class Offer:
    """What is handed to ``bundle decrypt``."""

    data: bytes
    session_key: str
    checksum: str
    public_key: Path


def _other_checksum(shipment: Shipment, plugin: str, folder: Path) -> str:
    """A checksum that our key made, of another file."""
    other = folder / "other"
    other.write_bytes(b"another bundle")
    private = load_rsa_private(shipment.keys.encryption.read_text(), "test key")
    sealed = seal_capgo(other, folder / "other.sealed", private, clear=Digest.of(b"another bundle"))
    return str(sealed.checksum_hex if plugin == HEX_PLUGIN else sealed.checksum_base64)


BAD_OFFERS: dict[str, Callable[[Offer, Shipment, App], Offer]] = {
    "first byte tampered": lambda offer, _, __: replace(offer, data=flip(offer.data, 0)),
    "middle tampered": lambda offer, _, __: replace(offer, data=flip(offer.data, len(offer.data) // 2)),
    "checksum of another bundle": lambda offer, shipment, app: replace(
        offer, checksum=_other_checksum(shipment, app.plugin, app.folder)
    ),
    "checksum for other plugins": lambda offer, shipment, app: replace(
        offer, checksum=checksum_of(shipment, PLUGINS[1 - PLUGINS.index(app.plugin)])
    ),
    "wrong public key": lambda offer, _, app: replace(
        offer, public_key=create_keys(app.folder / "other-keys").encryption_public
    ),
}


@pytest.mark.parametrize("name", BAD_OFFERS)
def test_the_cli_refuses(name: str, app: App, shipment: Shipment) -> None:
    good = Offer(
        shipment.encrypted.read_bytes(),
        str(shipment.sealed.session_key),
        checksum_of(shipment, app.plugin),
        shipment.keys.encryption_public,
    )
    offer = BAD_OFFERS[name](good, shipment, app)
    assert offer != good
    file = app.folder / "ours.zip"
    file.write_bytes(offer.data)
    ended, _ = decrypt(app, file, offer.session_key, offer.checksum, offer.public_key)
    assert ended.code != 0, ended


def zipped(app: App, web: Path) -> tuple[Path, str]:
    """Let the CLI pack a web build; give its zip and the checksum that it names."""
    answer = app.result("bundle", "zip", APP_ID, "--path", web, "--bundle", "1.2.3", "--name", "theirs.zip")
    return app.folder / answer["filename"], answer["checksum"]


def test_we_open_the_clis_bundle_byte_for_byte(app: App, shipment: Shipment) -> None:
    archive, checksum = zipped(app, shipment.web)
    answer = app.result("bundle", "encrypt", archive.name, checksum, "--key", shipment.keys.encryption)
    target = app.folder / "opened.zip"
    digest = open_capgo(
        app.folder / answer["filename"],
        target,
        public_pem=shipment.keys.encryption_public_pem,
        session_key=answer["ivSessionKey"],
        checksum=answer["checksum"],
    )
    assert digest.hex == checksum
    assert target.read_bytes() == archive.read_bytes()


def test_we_refuse_the_clis_bundle_when_it_was_tampered_with(app: App, shipment: Shipment) -> None:
    archive, checksum = zipped(app, shipment.web)
    answer = app.result("bundle", "encrypt", archive.name, checksum, "--key", shipment.keys.encryption)
    file = app.folder / answer["filename"]
    file.write_bytes(flip(file.read_bytes(), 100))
    target = app.folder / "opened.zip"
    with pytest.raises(VerificationError):
        open_capgo(
            file,
            target,
            public_pem=shipment.keys.encryption_public_pem,
            session_key=answer["ivSessionKey"],
            checksum=answer["checksum"],
        )
    assert not target.exists()


def test_both_wrap_the_same_checksum_alike(app: App, shipment: Shipment) -> None:
    # The wrapping has no randomness: same key and same bytes must give the same text.
    (app.folder / "ours.zip").write_bytes(shipment.archive.read_bytes())
    answer = app.result("bundle", "encrypt", "ours.zip", shipment.bundle.archive.hex, "--key", shipment.keys.encryption)
    assert answer["checksum"] == checksum_of(shipment, app.plugin)


def test_both_pack_the_same_files(tmp_path: Path, shipment: Shipment) -> None:
    app = make_app(tmp_path / "app", HEX_PLUGIN)
    archive, checksum = zipped(app, shipment.web)
    assert Digest.of(archive.read_bytes()).hex == checksum
    with zipfile.ZipFile(archive) as theirs:
        found = {each.filename: theirs.read(each) for each in theirs.infolist() if not each.is_dir()}
    with zipfile.ZipFile(shipment.archive) as ours:
        assert {name: ours.read(name) for name in ours.namelist()} == found


def test_keys_that_the_cli_made_seal_here(tmp_path: Path, shipment: Shipment) -> None:
    app = make_app(tmp_path / "app", HEX_PLUGIN)
    ended = app.capgo("key", "create")
    assert ended.code == 0, ended
    private = load_rsa_private((app.folder / ".capgo_key_v2").read_text(), ".capgo_key_v2")
    public = app.folder / ".capgo_key_v2.pub"
    # The same key is the same text for both, down to the last line end.
    assert rsa_public_pem_pkcs1(private) == public.read_text()
    file = app.folder / "ours.zip"
    sealed = seal_capgo(shipment.archive, file, private, clear=shipment.bundle.archive)
    ended, opened = decrypt(app, file, str(sealed.session_key), str(sealed.checksum_hex), public)
    assert ended.code == 0, ended
    assert opened.read_bytes() == shipment.archive.read_bytes()


def test_the_cli_takes_our_public_key_into_the_app(tmp_path: Path, shipment: Shipment) -> None:
    app = make_app(tmp_path / "app", HEX_PLUGIN)
    ended = app.capgo("key", "save", "--key", shipment.keys.encryption_public)
    assert ended.code == 0, ended
    config = json.loads(app.config.read_text())
    assert config["plugins"]["CapacitorUpdater"]["publicKey"].strip() == shipment.keys.encryption_public_pem.strip()
