from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from otagate.errors import UsageError
from otagate.fleet import manifest
from otagate.fleet.generations import generation
from otagate.fleet.manifest import ManifestError, Part, open_part, parts

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "capgo-golden.json").read_text())
PEM = GOLDEN["public_pem"]
PLUGIN = generation("8.51.23")
TEXT = b"export const a = 1;\n" * 600


def entry(name: str, content: bytes = TEXT, **changes: Any) -> dict[str, Any]:
    return {"file_name": name, "file_hash": hashlib.sha256(content).hexdigest(), "download_url": f"http://x/{name}", **changes}


def part(name: str, content: bytes = TEXT) -> Part:
    return parts([entry(name, content)], PLUGIN, None)[0]


def test_a_list_is_read() -> None:
    first, second = parts([entry("a/b.js.br"), entry("index.html", b"x")], PLUGIN, None)
    assert (first.target, first.is_brotli, first.url) == ("a/b.js", True, "http://x/a/b.js.br")
    assert (second.target, second.is_brotli) == ("index.html", False)


def test_hashes_are_wrapped_when_the_app_has_a_key() -> None:
    wrapped = entry("a.js", file_hash=GOLDEN["checksum_v3_hex"])
    assert parts([wrapped], PLUGIN, PEM)[0].digest == GOLDEN["sha256"]
    with pytest.raises(ManifestError):
        parts([entry("a.js")], PLUGIN, PEM)


@pytest.mark.parametrize(
    ("entries", "action"),
    [
        ([entry("../a.js")], "manifest_path_fail"),
        ([entry("a\\b.js")], "manifest_path_fail"),
        ([entry("a.js"), entry("a.js")], "manifest_path_fail"),
        ([entry("a.js"), entry("a.js.br")], "manifest_path_fail"),
        ([entry("a.js", file_hash="")], None),
        ([entry("a.js", file_hash=7)], None),
        ([entry("a.js", download_url=None)], None),
        (["a.js"], None),
        ({"a": 1}, None),
    ],
)
def test_a_bad_list_is_refused(entries: object, action: str | None) -> None:
    with pytest.raises(ManifestError) as caught:
        parts(entries, PLUGIN, None)
    assert caught.value.action == action


def test_files_are_unpacked_and_checked() -> None:
    assert open_part(part("a.js.br"), brotli.compress(TEXT), "", None) == TEXT
    assert open_part(part("a.js"), TEXT, "", None) == TEXT
    assert open_part(part("empty.js.br", b""), b"\x1b\x00\x06", "", None) == b""


def test_a_sealed_file_is_opened_with_the_one_session_key() -> None:
    clear = base64.b64decode(GOLDEN["zip_b64"])
    sealed = base64.b64decode(GOLDEN["ciphertext_b64"])
    one = Part("a.bin", "a.bin", hashlib.sha256(clear).hexdigest(), "")
    assert open_part(one, sealed, GOLDEN["iv_session_key"], PEM) == clear
    with pytest.raises(ManifestError):
        open_part(one, sealed[:-3], GOLDEN["iv_session_key"], PEM)


@pytest.mark.parametrize(
    ("name", "stored", "action"),
    [
        ("a.js", TEXT + b"x", "download_manifest_checksum_fail"),
        ("a.js.br", b"no brotli", "download_manifest_brotli_fail"),
        ("a.js.br", brotli.compress(b"other"), "download_manifest_checksum_fail"),
    ],
)
def test_a_changed_file_is_refused(name: str, stored: bytes, action: str) -> None:
    with pytest.raises(ManifestError) as caught:
        open_part(part(name), stored, "", None)
    assert (caught.value.action, caught.value.file) == (action, name)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "brotli", None)
    with pytest.raises(UsageError, match=r"otagate\[fleet\]"):
        open_part(part("a.js.br"), b"xxxx", "", None)
    assert manifest.open_part(part("a.js"), TEXT, "", None) == TEXT
