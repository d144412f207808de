from __future__ import annotations

import base64

import pytest

from otagate.errors import KeyMaterialError
from otagate.seal.pem import Pem, encode, holds_private, read_pem
from support.keys import golden, key

PEM = golden().private_pem
SHAPES = {
    "as it is": PEM,
    "CRLF": PEM.replace("\n", "\r\n"),
    "CR": PEM.replace("\n", "\r"),
    "written-out line ends": PEM.replace("\n", "\\n"),
    "written-out CRLF": PEM.replace("\n", "\\r\\n"),
    "line ends written out twice": PEM.replace("\n", "\\\\n"),
    "spaces": PEM.replace("\n", " "),
    "one line": PEM.replace("\n", ""),
    "no last line end": PEM.strip(),
    "space around": f"\n\n  {PEM}  \n",
    "indented": PEM.replace("\n", "\n    "),
    "double quotes": f'"{PEM}"',
    "single quotes and written-out line ends": "'" + PEM.replace("\n", "\\n") + "'",
    "quotes twice": f"\"'{PEM}'\"",
    "a byte order mark": "\ufeff" + PEM,
    "base64": base64.b64encode(PEM.encode()).decode(),
    "base64 in lines": base64.encodebytes(PEM.encode()).decode(),
    "base64 in quotes": f'"{base64.b64encode(PEM.encode()).decode()}"',
    "base64 with written-out line ends": base64.encodebytes(PEM.encode()).decode().replace("\n", "\\n"),
    "base64 of CRLF": base64.b64encode(PEM.replace("\n", "\r\n").encode()).decode(),
    "text around": f"a comment\n{PEM}more text\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_gives_the_same_text(text: str) -> None:
    pem = read_pem(text, "env:KEY")
    assert pem.text() == PEM
    assert pem.label == "RSA PRIVATE KEY"
    assert pem.is_private
    assert not pem.is_encrypted


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES.keys())
def test_a_private_key_is_noticed_in_every_shape(text: str) -> None:
    assert holds_private(text)


@pytest.mark.parametrize("text", ["", "ed25519:AAAA", golden().public_pem, "aGVsbG8=", "é"])
def test_other_texts_hold_no_private_key(text: str) -> None:
    assert not holds_private(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "without -----BEGIN"),
        ("hello", "without -----BEGIN"),
        ("aGVsbG8=", "without -----BEGIN"),
        (PEM.splitlines()[0], "without a matching"),
        (PEM[:-10], "without a matching"),
        (PEM.replace("END RSA", "END EC"), "without a matching"),
        (PEM + golden().public_pem, "2 keys"),
        (PEM.replace("MII", "M!I"), "base64 between the markers"),
        ("-----BEGIN RSA PRIVATE KEY----------END RSA PRIVATE KEY-----", "base64 between the markers"),
        ("-----BEGIN RSA PRIVATE KEY-----A-----END RSA PRIVATE KEY-----", "base64 between the markers"),
    ],
)
def test_damage_is_told_without_the_text(text: str, words: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        read_pem(text, "env:KEY")
    assert words in str(caught.value)
    assert caught.value.subject == "env:KEY"
    assert PEM.splitlines()[3] not in str(caught.value)


@pytest.mark.parametrize("name", ["rsa2048_encrypted", "rsa2048_encrypted_pkcs1"])
def test_encrypted_keys_are_known(name: str) -> None:
    assert read_pem(key(name), "k").is_encrypted


def test_lines_are_broken_at_64_columns() -> None:
    lines = encode("X", bytes(100)).splitlines()
    assert [len(line) for line in lines[1:-1]] == [64, 64, 8]


def test_nothing_inside_is_shown() -> None:
    assert "der" not in repr(Pem("RSA PRIVATE KEY", b"secret"))
