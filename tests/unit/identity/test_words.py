"""Addresses that tokens may go to, and words that may be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.identity import _words
from support.identities import jwt


@pytest.mark.parametrize(
    "url",
    [
        "https://sts.eu-west-1.amazonaws.com",
        "https://x.example:8443/path?a=b",
        "http://127.0.0.1:4000",
        "http://127.9.9.9/x",
        "http://localhost",
        "http://[::1]:80/x",
        "http://pod.example/",
    ],
)
def test_good_addresses(url: str) -> None:
    assert _words.address("NAME", url, frozenset({"pod.example"})) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sts.example",
        "http://sts.example",
        "http://169.254.169.254/",
        "http://localhost.example",
        "http://127.0.0.1@evil.example",
        "https://me:word@x.example",
        "https://x.example/#f",
        "https://x.example/ y",
        "https://x.example/\r\nHost: y",
        "https://x\u0430.example",
        "https://x.example:0",
        "https://x.example:99999999",
        "https://[x",
        "file:///etc/passwd",
        "HTTP://evil.example",
    ],
)
def test_bad_addresses(url: str) -> None:
    with pytest.raises(UsageError, match="NAME") as caught:
        _words.address("NAME", url)
    assert "word" not in str(caught.value)


def test_link_local_only_when_asked() -> None:
    url = "http://169.254.129.3:8081/msi/token"
    assert _words.address("NAME", url, is_link_local_fine=True) == url
    with pytest.raises(UsageError):
        _words.address("NAME", "http://10.0.0.1", is_link_local_fine=True)


def test_what_is_said_holds_no_secret() -> None:
    text = f"bad token {jwt()} and my-password\r\n::error::x\x1b[2J {'long ' * 200}"
    shown = _words.said(text, ["my-password", "", "ab"])
    assert jwt() not in shown
    assert "my-password" not in shown
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert len(shown) < 420


def test_half_a_token_is_none_either() -> None:
    signature = jwt().rpartition(".")[2]
    assert signature not in _words.said(f"the signature {signature} is wrong", [jwt()])


@pytest.mark.parametrize(
    ("content", "expected"), [(b" token \n", "token"), (b"\xef\xbb\xbf{}", "{}"), (b"\xff", None), (b"x" * 1_100_000, None)]
)
def test_small_files(content: bytes, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    assert _words.read_small(str(tmp_path / "f")) == expected


@pytest.mark.parametrize("path", ["/no/such/file", "/", "a\0b"])
def test_files_that_are_none(path: str) -> None:
    assert _words.read_small(path) is None


@pytest.mark.parametrize("text", [None, "", "[]", "{", "nul", b"\xff", "[" * 100_000])
def test_no_table(text: str | bytes | None) -> None:
    assert _words.table(text) == {}
    assert _words.text_of({"a": 1, "b": ""}, "a") is None


def test_variables() -> None:
    environ = {"A": " ", "B": " b ", "C": "True"}
    assert _words.value(environ, "A", "B") == "b"
    assert _words.value(environ, "A") is None
    assert _words.is_true(environ, "C")
    assert not _words.is_true(environ, "B")
