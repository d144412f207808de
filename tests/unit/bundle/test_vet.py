from __future__ import annotations

from pathlib import Path

import pytest

from otagate.bundle import vet
from otagate.bundle.source import SourceFile


def _file(folder: Path, name: str, data: bytes) -> SourceFile:
    path = folder / name
    path.write_bytes(data)
    return SourceFile.of(name, path, path.lstat())


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.production",
        "a/.ENV.local",
        ".envrc",
        ".git/config",
        "sub/.git",
        ".hg/store",
        ".npmrc",
        "x/.netrc",
        ".aws/credentials",
        "certs/server.pem",
        "signing.key",
        "AuthKey_1.p8",
        "id_rsa",
        "id_rsa.pub",
        "keys/id_ed25519",
        "a.p12",
        "a.PFX",
        "release.jks",
        "debug.keystore",
        ".capgo_key_v2",
        "node_modules/x/index.js",
        "a\n.pem",
    ],
)
def test_names_of_secrets_are_refused(path: str) -> None:
    assert vet.refusal(path, source_maps=True)


@pytest.mark.parametrize(
    "path", ["index.html", "keys.js", "environment.js", "a.env.js", "git/config", "monkey", "map/tiles.json", ".well-known/a"]
)
def test_ordinary_names_are_not_refused(path: str) -> None:
    assert vet.refusal(path, source_maps=False) is None


def test_source_maps_are_refused_unless_welcome() -> None:
    assert "bundle.source_maps" in (vet.refusal("a/app.js.map", source_maps=False) or "")
    assert vet.refusal("a/app.js.map", source_maps=True) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".DS_Store", True),
        ("Thumbs.db", True),
        ("._a.js", True),
        ("a.js~", True),
        (".gitkeep", True),
        ("a.js", False),
        (".x", False),
    ],
)
def test_clutter(name: str, expected: bool) -> None:
    assert vet.is_clutter(name) is expected


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("deploy", b"-----BEGIN RSA PRIVATE KEY-----\nMII", "private key"),
        ("deploy.txt", b"\n  -----BEGIN PRIVATE KEY-----\nMII", "private key"),
        ("deploy.txt", b"\xef\xbb\xbf-----BEGIN EC PRIVATE KEY-----", "private key"),
        ("x", b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc", "private key"),
        ("x", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nabc", "private key"),
        ("x", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc", "private key"),
        ("x", b"PuTTY-User-Key-File-3: ssh-ed25519", "private key"),
        ("sa.json", b'{"type": "service_account",\n "private_key": "..."}', "service account"),
        ("SA.JSON", b" " * 60_000 + b'"private_key"', "service account"),
    ],
)
def test_contents_of_secrets_are_refused(tmp_path: Path, name: str, data: bytes, word: str) -> None:
    assert word in (vet.content_refusal(_file(tmp_path, name, data)) or "")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.js", b'const s = "-----BEGIN PRIVATE KEY-----"'),
        ("a.pub", b"-----BEGIN PUBLIC KEY-----\nMII"),
        ("a.txt", b'{"private_key": 1}'),
        ("big.json", b" " * 66_000 + b'"private_key"'),
        ("empty", b""),
    ],
)
def test_contents_that_only_look_like_it_pass(tmp_path: Path, name: str, data: bytes) -> None:
    assert vet.content_refusal(_file(tmp_path, name, data)) is None


_CHUNK = 256 * 1024
_MARK = b"notifyAppReady"


@pytest.mark.parametrize("gap", [0, 1, _CHUNK - 1, _CHUNK - 14, _CHUNK - 13, _CHUNK - 7, _CHUNK, 2 * _CHUNK - 5])
def test_the_call_is_found_across_the_borders_of_chunks(tmp_path: Path, gap: int) -> None:
    assert vet.calls_notify_app_ready(_file(tmp_path, "a.js", b"x" * gap + _MARK + b"()"))


@pytest.mark.parametrize("name", ["a.js", "a.mjs", "a.cjs", "index.html", "A.JS", "a.htm"])
def test_the_call_counts_in_scripts_and_pages(tmp_path: Path, name: str) -> None:
    assert vet.calls_notify_app_ready(_file(tmp_path, name, b"." + _MARK + b"()"))


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.css", _MARK), ("a.txt", _MARK), ("a.js", b"notifyAppRead"), ("a.js", b""), ("a.js", b"notifyappready")],
)
def test_the_call_does_not_count_elsewhere(tmp_path: Path, name: str, data: bytes) -> None:
    assert not vet.calls_notify_app_ready(_file(tmp_path, name, data))
