from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.store.registry import open_store


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:/srv/ota", "/srv/ota"),
        ("FILE:/srv/ota", "/srv/ota"),
        ("file:/srv/100%25/a b", "/srv/100%25/a b"),
        ("file:///srv/a%20b", "/srv/a b"),
        ("file://localhost/srv/ota", "/srv/ota"),
    ],
)
def test_a_folder_by_its_url(url: str, folder: str) -> None:
    assert open_store(url).url == f"file:{folder}"
    assert not Path(folder).exists()


def test_memory_is_one_store_per_name() -> None:
    open_store("memory:registry-a").documents.create("x", b"1")
    assert open_store("memory:registry-a").documents.read("x") is not None
    assert open_store("memory:registry-b").documents.read("x") is None
    assert open_store("memory:registry-a").url == "memory:registry-a"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:relative/path", "absolute path"),
        ("file:", "absolute path"),
        ("file://relative", "no other machine"),
        ("file://user:hunter2@server/share", "no other machine"),
        ("file:/nul\0", "absolute path"),
        ("S3://key:hunter2@bucket", "keys come from"),
        ("gs://user@bucket", "this is not a storage URL"),
        ("az://container?secret=hunter2", "this is not a storage URL"),
        ("fille:/srv/ota", "did you mean file:"),
        ("https://user:hunter2@host/", "file:, gs:, memory:, s3:"),
        ("/srv/ota", "no scheme"),
        ("", "no scheme"),
    ],
)
def test_other_urls_are_refused_without_showing_a_password(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
