"""Trying a bucket at init: what is no error there."""

from __future__ import annotations

import sys

import pytest

from otagate.errors import UsageError
from otagate.flow.init_probe import try_storage

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def test_a_folder_needs_no_trial() -> None:
    assert try_storage("file:.otagate/store", {}) is None


def test_without_credentials_it_is_left_for_later() -> None:
    said = try_storage("s3://acme-updates?region=eu-west-1&identity=oidc", {})
    assert said is not None
    assert "there are no credentials here" in said
    assert "otagate doctor tries it" in said


def test_without_the_libraries_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("obstore", "otagate.store.s3", "otagate.store.obstore"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    said = try_storage("s3://acme-updates?endpoint=http://127.0.0.1:1&identity=environment", KEYS)
    assert said is not None
    assert "pip install 'otagate[s3]'" in said


def test_a_url_that_is_wrong_is_an_error() -> None:
    with pytest.raises(UsageError, match="region"):
        try_storage("s3://acme-updates?identity=environment", KEYS)
    with pytest.raises(UsageError, match="not a storage URL"):
        try_storage("s3://acme-updates?regoin=x", {})
