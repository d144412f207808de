from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import KeyMaterialError
from otagate.seal.ed25519 import is_signed
from otagate.seal.registry import LATER, open_signer
from support.keys import key, signer


def test_a_variable_opens_a_signer() -> None:
    opened = open_signer("env:K", environ={"K": key("ed25519").replace("\n", "\\n")}, base=Path())
    assert opened.public_key() == signer().public_key()
    assert is_signed(b"m", opened.sign(b"m"), signer().public_key())


@pytest.mark.parametrize("scheme", LATER)
def test_schemes_of_later_versions_say_so(scheme: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        open_signer(f"{scheme}:whatever", environ={}, base=Path())
    assert "not in this version" in caught.value.what
    assert caught.value.expected == "env: or file:"


@pytest.mark.parametrize("reference", ["", "K", "s3:x", key("ed25519")])
def test_other_references_are_refused_and_not_shown(reference: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        open_signer(reference, environ={}, base=Path())
    assert "env:NAME or file:PATH" in str(caught.value)
    assert key("ed25519").splitlines()[1] not in str(caught.value)


def test_a_key_of_another_kind_names_the_reference() -> None:
    with pytest.raises(KeyMaterialError) as caught:
        open_signer("env:K", environ={"K": key("rsa2048")}, base=Path())
    assert caught.value.subject == "env:K"
