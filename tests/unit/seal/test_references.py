from __future__ import annotations

import os
from pathlib import Path

import pytest

from otagate.errors import AccessError, KeyMaterialError, OtagateError
from otagate.seal.references import MAX_KEY_BYTES, read_reference, scheme_of
from support.keys import golden

PEM = golden().private_pem


def _read(reference: str, environ: dict[str, str] | None = None, base: Path = Path("/nowhere")) -> str:
    return read_reference(reference, environ=environ or {}, base=base)


def _file(path: Path, text: str = PEM, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_variable_holds_the_key() -> None:
    assert _read("env:KEY", {"KEY": PEM}) == PEM


def test_a_variable_may_hold_the_path_of_the_key(tmp_path: Path) -> None:
    path = _file(tmp_path / "from-gitlab", mode=0o644)
    assert _read("env:KEY", {"KEY": str(path)}) == PEM
    assert _read("env:KEY", {"KEY": f"{path}\n"}) == PEM


@pytest.mark.parametrize("value", ["x" * 900, "x" * 2000, "a\0b", "/no/such/file", "a/" * 300])
def test_a_variable_that_is_no_path_is_the_key_itself(tmp_path: Path, value: str) -> None:
    assert _read("env:KEY", {"KEY": value}, tmp_path) == value


def test_a_file_is_found_from_the_base_folder(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    _file(tmp_path / "keys" / "a.pem")
    assert _read("file:keys/a.pem", base=tmp_path) == PEM
    assert _read(f"file:{tmp_path}/keys/a.pem") == PEM


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\xef\xbb\xbfhello")
    assert _read("file:k", base=tmp_path) == "hello"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o620])
def test_a_private_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    _file(tmp_path / "k.pem", mode=mode)
    with pytest.raises(KeyMaterialError) as caught:
        _read("file:k.pem", base=tmp_path)
    assert caught.value.found == f"mode {mode:04o}"
    assert caught.value.remedy == f"chmod 600 {tmp_path}/k.pem"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_key_of_the_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    _file(tmp_path / "k.pem", mode=mode)
    assert _read("file:k.pem", base=tmp_path) == PEM


def test_a_public_key_may_be_readable_by_all(tmp_path: Path) -> None:
    _file(tmp_path / "k.pem", golden().public_pem, 0o644)
    assert _read("file:k.pem", base=tmp_path) == golden().public_pem


@pytest.mark.parametrize(
    ("reference", "environ", "words"),
    [
        ("env:KEY", {}, "the variable is not set"),
        ("env:KEY", {"KEY": ""}, "the variable is empty"),
        ("env:KEY", {"KEY": " \n"}, "the variable is empty"),
        ("env:KEY", {"KEY": "x" * (MAX_KEY_BYTES + 1)}, "too large"),
        ("env:", {}, "the name of a variable"),
        ("env:A-B", {}, "the name of a variable"),
        ("env:ÄB", {}, "the name of a variable"),
        ("file:", {}, "file:PATH"),
        ("file:a\0b", {}, "file:PATH"),
        ("file:" + "x" * 2000, {}, "file:PATH"),
        ("file:missing.pem", {}, "No such file"),
        ("KEY", {}, "env:NAME or file:PATH"),
        ("", {}, "env:NAME or file:PATH"),
        ("vault:secret/x", {}, "begins with vault:"),
        ("ENV:KEY", {}, "env:NAME or file:PATH"),
    ],
)
def test_what_cannot_be_read_is_told(reference: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        _read(reference, environ)
    assert words in str(caught.value)


@pytest.mark.parametrize("reference", [PEM, f"env:{PEM}", f"file:{PEM}"])
def test_a_key_in_place_of_a_reference_is_never_shown(reference: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        _read(reference)
    assert "MII" not in str(caught.value)
    assert "MII" not in repr(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b" \n", "empty"), (b"\xff\xfe", "not text"), (b"x" * (MAX_KEY_BYTES + 1), "too large")],
)
def test_files_that_hold_no_key_are_told(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(KeyMaterialError, match=words):
        _read("file:k", base=tmp_path)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(OtagateError) as caught:
        _read("file:.", base=tmp_path)
    assert caught.value.exit_code == 2


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    _file(tmp_path / "k.pem", mode=0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(AccessError):
            _read("file:k.pem", base=tmp_path)
    finally:
        os.seteuid(before)


@pytest.mark.parametrize(
    ("reference", "scheme"),
    [("env:A", "env"), ("file:x", "file"), ("awskms:///a", "awskms"), ("x", None), (":x", None), ("A:b", None)],
)
def test_schemes(reference: str, scheme: str | None) -> None:
    assert scheme_of(reference) == scheme
