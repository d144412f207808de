"""The phone's side: the plugin's own cipher, of three generations, opens what we seal and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from otagate.seal.keys import create_keys
from support import java, js
from support.interop import Shipment, flip, ship

# The first to run installs npm packages, which takes as long as the network takes.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(js.INSTALL_SECONDS)]

HEX, BASE64 = "hex", "base64"
# npm alias of each generation, and the one checksum encoding that it takes.
GENERATIONS = {"@capgo/capacitor-updater": HEX, "capacitor-updater-5": HEX, "capacitor-updater-7": BASE64}
VERSIONS = {"@capgo/capacitor-updater": "8.51.23", "capacitor-updater-5": "5.50.2", "capacitor-updater-7": "7.0.50"}


@dataclass(frozen=True, slots=True)
class Situation:
    """What a phone is told, as changes to a good answer, and what it must say to it."""

    change: Callable[[Shipment, java.Download], java.Download]
    answers: frozenset[str]


ACCEPTED = frozenset({"accepted"})
MISMATCH = frozenset({"mismatch"})
REFUSED = frozenset({"refused"})
# Garbage at the end sometimes looks like good padding; then it is the checksum that stops it. Generations differ in order, too.
STOPPED = MISMATCH | REFUSED


def _tampered(at: float) -> Callable[[Shipment, java.Download], java.Download]:
    def change(_: Shipment, download: java.Download) -> java.Download:
        data = download.file.read_bytes()
        download.file.write_bytes(flip(data, int((len(data) - 1) * at)))
        return download

    return change


def _truncated(_: Shipment, download: java.Download) -> java.Download:
    download.file.write_bytes(download.file.read_bytes()[:-16])
    return download


def _wrong_key(shipment: Shipment, download: java.Download) -> java.Download:
    return replace(download, public_key=create_keys(download.file.parent / "other-keys").encryption_public)


def _not_encrypted(shipment: Shipment, download: java.Download) -> java.Download:
    return replace(download, checksum=shipment.bundle.archive.hex)


def _foreign_iv(_: Shipment, download: java.Download) -> java.Download:
    wrapped = download.session_key.split(":")[1]
    return replace(download, session_key=f"{'A' * 22}==:{wrapped}")


def _other_encoding(shipment: Shipment, download: java.Download) -> java.Download:
    both = (str(shipment.sealed.checksum_hex), str(shipment.sealed.checksum_base64))
    return replace(download, checksum=both[1] if download.checksum == both[0] else both[0])


SITUATIONS = {
    "good": Situation(lambda _, download: download, ACCEPTED),
    "first byte tampered": Situation(_tampered(0), MISMATCH),
    "middle tampered": Situation(_tampered(0.5), MISMATCH),
    "last block tampered": Situation(_tampered(1), STOPPED),
    "last block cut off": Situation(_truncated, STOPPED),
    "wrong public key": Situation(_wrong_key, REFUSED),
    "iv of another bundle": Situation(_foreign_iv, MISMATCH),
    "checksum in clear": Situation(_not_encrypted, REFUSED),
    "checksum in the other encoding": Situation(_other_encoding, STOPPED),
}


@pytest.fixture(scope="module")
def shipment(tmp_path_factory: pytest.TempPathFactory) -> Shipment:
    return ship(tmp_path_factory.mktemp("shipment"))


@pytest.fixture(scope="module", params=GENERATIONS)
def answers(request: pytest.FixtureRequest, shipment: Shipment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Put one generation of the plugin through every situation; one JVM for all of them."""
    package: str = request.param
    folder = tmp_path_factory.mktemp("device")
    device = java.Device.of(js.modules() / package, folder / "classes")
    sealed = shipment.sealed
    checksum = sealed.checksum_hex if GENERATIONS[package] == HEX else sealed.checksum_base64
    downloads = []
    for number, situation in enumerate(SITUATIONS.values()):
        target = folder / str(number) / "update.zip"
        target.parent.mkdir()
        shutil.copyfile(shipment.encrypted, target)
        good = java.Download(shipment.keys.encryption_public, str(sealed.session_key), str(checksum), target)
        downloads.append(situation.change(shipment, good))
    found = dict(zip(SITUATIONS, device.judge(downloads), strict=True))
    found["opened"] = downloads[0].file.read_bytes().hex()
    found["package"] = package
    return found


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_plugin_says(name: str, answers: dict[str, str]) -> None:
    assert answers[name].split(":")[0] in SITUATIONS[name].answers, answers[name]


def test_the_plugin_gets_our_zip_back_byte_for_byte(answers: dict[str, str], shipment: Shipment) -> None:
    assert answers["opened"] == shipment.archive.read_bytes().hex()


def test_the_plugin_is_the_one_that_is_pinned(answers: dict[str, str]) -> None:
    manifest = (js.modules() / answers["package"] / "package.json").read_text()
    assert f'"version": "{VERSIONS[answers["package"]]}"' in manifest


@pytest.fixture(scope="module")
def walks(shipment: Shipment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, int, str]]]:
    return java.listing(java.compile_sources(tmp_path_factory.mktemp("listing") / "classes"), shipment.archive)


@pytest.mark.parametrize("walk", ["stream", "directory"])
def test_java_reads_the_same_files_in_our_zip(
    walk: str, walks: dict[str, list[tuple[str, int, str]]], shipment: Shipment
) -> None:
    expected = [(file.path, file.size, file.digest.hex) for file in shipment.bundle.files]
    assert walks[walk] == expected
    assert len(expected) == 6
