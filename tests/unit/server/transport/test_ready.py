from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from otagate.errors import NotFoundError
from otagate.server.transport.ready import Address, remove_ready, write_ready


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 80, is_tls=False), "http://127.0.0.1:80"),
        (Address("0.0.0.0", 443, is_tls=True), "https://127.0.0.1:443"),
        (Address("::", 1, is_tls=False), "http://[::1]:1"),
        (Address("2001:db8::1", 1, is_tls=False), "http://[2001:db8::1]:1"),
        (Address("updates.example.com", 1, is_tls=True), "https://updates.example.com:1"),
    ],
)
def test_the_address_for_people(address: Address, url: str) -> None:
    assert address.url == url


def test_a_ready_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    write_ready(path, Address("127.0.0.1", 4711, is_tls=False), [1, 2])
    assert json.loads(path.read_text()) == {"pid": os.getpid(), "port": 4711, "url": "http://127.0.0.1:4711", "workers": [1, 2]}
    remove_ready(path)
    assert not path.exists()
    remove_ready(path)


@pytest.mark.parametrize("text", ['{"pid": 1}', "[]", "nonsense"])
def test_the_ready_file_of_another_is_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ready.json"
    path.write_text(text)
    remove_ready(path)
    assert path.read_text() == text


def test_a_ready_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="ready file"):
        write_ready(tmp_path / "none" / "ready.json", Address("a", 1, is_tls=False), [1])
