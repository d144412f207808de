from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.telemetry.secret import check_value, device_key, kept_secret, read_secret, read_text

SECRET = bytes(range(32))


def test_a_key_depends_on_secret_app_and_device_but_not_on_case() -> None:
    key = device_key(SECRET, "com.example.app", "ABC-1")
    assert len(key) == 16
    assert key == device_key(SECRET, "com.example.app", "abc-1")
    others = {
        device_key(b"x" * 32, "com.example.app", "abc-1"),
        device_key(SECRET, "com.example.ap", "pabc-1"),
        device_key(SECRET, "com.example.app", "abc-2"),
        device_key(SECRET, "com.example.app", "\ud800"),
    }
    assert len(others | {key}) == 5


def test_the_check_value_is_no_key_and_says_which_secret() -> None:
    assert check_value(SECRET) != check_value(b"x" * 32)
    assert SECRET.hex() not in check_value(SECRET)


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper() + "\n",
        base64.b64encode(SECRET).decode(),
        base64.urlsafe_b64encode(bytes([255] * 32)).decode().rstrip("="),
    ],
)
def test_forms_of_a_secret(tmp_path: Path, text: str) -> None:
    expected = SECRET if "__" not in text else bytes([255] * 32)
    (tmp_path / "s").write_text(text)
    assert read_secret("file:s", {}, tmp_path) == expected
    assert read_secret("env:S", {"S": text}, tmp_path) == expected


@pytest.mark.parametrize("text", ["", "  ", "short", "a" * 63, SECRET.hex() + "00", "é" * 64, "=" * 44])
def test_what_is_no_secret_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_secret("env:S", {"S": text}, Path())
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize("reference", ["", SECRET.hex(), "env:", "file:", "http://x", "file:a\0b", "file:missing"])
def test_what_is_no_reference_is_refused_without_being_shown(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_text(reference, {}, tmp_path, "the secret")
    assert SECRET.hex() not in str(caught.value)


def test_a_kept_secret_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "db.secret"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(kept_secret, [path] * 16))
    assert len(made) == 1
    assert kept_secret(path) in made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_kept_file_with_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db.secret"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError):
        kept_secret(path)


def test_places_where_no_secret_can_be_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        kept_secret(tmp_path / "missing" / "db.secret")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError):
        kept_secret(tmp_path / "folder")
