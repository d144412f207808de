from __future__ import annotations

import base64
import hashlib
import json
import stat
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from otagate.fleet import archive
from otagate.fleet.archive import UnpackError, unpack
from otagate.fleet.generations import REPRESENTATIVE, generation
from otagate.fleet.opening import Offer, Opened, Opener, OpeningError, may_be_set, open_zip
from support.hand_made_server import zipped

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "capgo-golden.json").read_text())
PEM = GOLDEN["public_pem"]
SEALED = base64.b64decode(GOLDEN["ciphertext_b64"])
CLEAR = zipped()
SHA = hashlib.sha256(CLEAR).hexdigest()
NEW, OLD = "8.51.23", "6.14.19"


def offer(**changes: Any) -> Offer:
    return Offer("1.0.0", "http://x/y.zip", **changes)


def sealed_offer(version: str) -> Offer:
    name = "checksum_v3_hex" if generation(version).has("hex_checksum") else "checksum_v2_b64"
    return offer(session_key=GOLDEN["iv_session_key"], checksum=GOLDEN[name])


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_every_generation_opens_sealed_and_clear_bundles(version: str) -> None:
    opened = open_zip(SEALED, sealed_offer(version), generation(version), PEM)
    assert opened.digest == GOLDEN["sha256"]
    assert set(opened.files) == {"index.html"}
    clear = open_zip(CLEAR, offer(checksum=SHA), generation(version), None)
    assert set(clear.files) == {"index.html", "a.js"}
    assert clear.files["a.js"] == hashlib.sha256(bytes(4000)).hexdigest()


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_every_generation_refuses_a_changed_bundle(version: str) -> None:
    changed = bytes([SEALED[0] ^ 1]) + SEALED[1:]
    with pytest.raises(OpeningError) as caught:
        open_zip(changed, sealed_offer(version), generation(version), PEM)
    assert caught.value.action == "checksum_fail"
    with pytest.raises(OpeningError) as caught:
        open_zip(CLEAR + b"x", offer(checksum=SHA), generation(version), None)
    assert caught.value.action == "checksum_fail"


@pytest.mark.parametrize(
    ("data", "given", "version", "pem", "action"),
    [
        (SEALED, offer(session_key=GOLDEN["iv_session_key"], checksum=GOLDEN["checksum_v2_b64"]), NEW, PEM, "checksum_fail"),
        (SEALED, offer(session_key=GOLDEN["iv_session_key"], checksum=GOLDEN["checksum_v3_hex"]), OLD, PEM, None),
        (SEALED, offer(session_key=GOLDEN["iv_session_key"]), "8.45.11", PEM, "checksum_required"),
        (SEALED, offer(session_key=GOLDEN["iv_session_key"]), OLD, PEM, None),
        (SEALED[:-1], offer(session_key=GOLDEN["iv_session_key"], checksum=GOLDEN["checksum_v3_hex"]), NEW, PEM, None),
        (CLEAR, offer(checksum=SHA.upper()), NEW, None, "checksum_fail"),
        (CLEAR, offer(), OLD, PEM, "checksum_fail"),
        (SEALED, offer(session_key=GOLDEN["iv_session_key"], checksum=GOLDEN["checksum_v3_hex"]), NEW, None, "checksum_fail"),
        (b"no zip", offer(), "8.45.11", None, "unzip_fail"),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, given: Offer, version: str, pem: str | None, action: str | None) -> None:
    with pytest.raises(OpeningError) as caught:
        open_zip(data, given, generation(version), pem)
    assert caught.value.action == action


def test_a_clear_bundle_for_an_app_with_a_key_holds_only_with_its_plain_checksum() -> None:
    assert open_zip(CLEAR, offer(checksum=SHA), generation("8.45.11"), PEM).digest == SHA


def test_an_old_plugin_takes_a_clear_bundle_without_a_checksum() -> None:
    assert may_be_set(open_zip(CLEAR, offer(), generation(OLD), None))


def test_the_same_bytes_are_opened_once_when_asked() -> None:
    opener = Opener(remember=True)
    first = opener.open(CLEAR, offer(checksum=SHA), generation(NEW), None)
    assert opener.open(bytes(bytearray(CLEAR)), offer(checksum=SHA), generation(NEW), None) is first
    assert Opener().open(CLEAR, offer(checksum=SHA), generation(NEW), None) == first
    for _again in range(2):
        with pytest.raises(OpeningError) as caught:
            opener.open(CLEAR + b"x", offer(checksum=SHA), generation(NEW), None)
        assert caught.value.action == "checksum_fail"


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("a\\b.js", "windows_path_fail"),
        ("../a.js", "canonical_path_fail"),
        ("a/../../b.js", "canonical_path_fail"),
        ("/etc/passwd", "canonical_path_fail"),
        ("", "canonical_path_fail"),
    ],
)
def test_paths_stay_inside(name: str, action: str) -> None:
    with pytest.raises(UnpackError) as caught:
        archive.inside(name)
    assert caught.value.action == action


def test_an_entry_that_leads_out_spoils_the_zip() -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(zipped({"index.html": b"x", "../out.js": b"y"}))
    assert caught.value.action == "canonical_path_fail"


def test_one_folder_at_the_top_is_the_root() -> None:
    assert set(unpack(zipped({"www/index.html": b"x", "www/a/b.js": b"y", ".DS_Store": b"z", "__MACOSX/c": b"z"}))) == {
        "index.html",
        "a/b.js",
    }
    assert set(unpack(zipped({"index.html": b"x"}))) == {"index.html"}
    assert set(unpack(zipped({"only.js": b"x"}))) == {"only.js"}
    assert set(unpack(zipped({"a/index.html": b"x", "b/c.js": b"y"}))) == {"a/index.html", "b/c.js"}


def test_folders_are_no_files() -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("index.html", "x")
        folder = zipfile.ZipInfo("assets/")
        folder.external_attr = (stat.S_IFDIR | 0o755) << 16
        made.writestr(folder, b"")
    assert set(unpack(out.getvalue())) == {"index.html"}


def test_a_zip_with_nothing_that_counts_does_not_open() -> None:
    with pytest.raises(UnpackError):
        unpack(zipped({".hidden": b"x"}))


def test_a_bomb_does_not_go_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 100)
    with pytest.raises(UnpackError):
        unpack(zipped())


def test_a_bundle_without_a_start_page_cannot_be_set() -> None:
    assert not may_be_set(Opened("", {"a.js": ""}))
