from __future__ import annotations

import unicodedata

import pytest

from otagate.bundle import names


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "assets/app-B3x.js",
        ".well-known/assetlinks.json",
        "with space/a b.txt",
        "ü/日本語.svg",
        "[slug]/page.js",
        "a" * 240,
        "/".join("a" * 32),
        "console.js",
        "com10.js",
        "auxiliary",
        "...a",
        "\u00a0x",
    ],
)
def test_names_that_are_fine(path: str) -> None:
    assert names.fault(path) is None


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("../a", "'..'"),
        ("a/../b", "'..'"),
        ("./a", "'.'"),
        ("a\\b", "backslash"),
        ("..\\evil", "backslash"),
        ("C:evil", "drive"),
        ("x/c:/evil", "drive"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\u202egpj.exe", "invisible"),
        ("a\u200bb", "invisible"),
        ("a\u2028b", "invisible"),
        ("a\ud800b", "invisible"),
        ("a.", "dot or a space"),
        ("dir /a", "dot or a space"),
        ("CON", "Windows"),
        ("x/aux.js", "Windows"),
        ("Lpt1.txt.gz", "Windows"),
        ("com¹", "Windows"),
        ("conin$", "Windows"),
        ("a" * 241, "longer"),
        ("ü" * 121, "longer"),
        ("/".join("a" * 33), "deeper"),
    ],
)
def test_names_that_are_refused(path: str, word: str) -> None:
    assert word in (names.fault(path) or "")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a", "b", "c/a", "d/a"], []),
        (["A.js", "a.js"], [("A.js", "a.js")]),
        (["x/A.js", "X/b.js"], [("x", "X/b.js")]),
        (["ü", unicodedata.normalize("NFD", "ü")], [("ü", unicodedata.normalize("NFD", "ü"))]),
        (["straße", "STRASSE"], [("straße", "STRASSE")]),
        (["a", "a/b"], [("a", "a/b")]),
        (["a/b", "a"], [("a", "a")]),
        (["a/b", "A"], [("a", "A")]),
        (["a/b/c", "a/B"], [("a/b", "a/B")]),
        (["a", "a"], [("a", "a")]),
        (["d/x/1", "d/x/2", "d/y/1"], []),
        (["K", "\u212a"], [("K", "\u212a")]),  # the Kelvin sign
    ],
)
def test_twins(paths: list[str], expected: list[tuple[str, str]]) -> None:
    assert list(names.twins(paths)) == expected


def test_only_nfc_is_normal() -> None:
    assert names.is_normal("ü")
    assert not names.is_normal(unicodedata.normalize("NFD", "ü"))
