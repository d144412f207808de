"""Releases for tests: complete, small, and made without keys or files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from otagate import _canonical
from otagate.model import AppId, Bundle, ChannelName, Digest, FileEntry, Release, Sealed, Version

CREATED = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def files(**contents: bytes) -> tuple[FileEntry, ...]:
    """Make entries, sorted by path; ``__`` in a name stands for a dot."""
    named = {name.replace("__", "."): content for name, content in contents.items()}
    return tuple(FileEntry(name, len(content), Digest.of(content)) for name, content in sorted(named.items()))


def content_of(entries: tuple[FileEntry, ...]) -> Digest:
    """Give the digest over a list of files, as a bundle carries it."""
    return Digest.of(_canonical.dumps([[entry.path, entry.size, entry.digest.hex] for entry in entries]))


def full_release(**changes: Any) -> Release:
    """Give a release in which every field is set."""
    entries = files(index__html=b"<html></html>", app__js=b"notifyAppReady()")
    clear = b"the clear zip"
    release = Release(
        app=AppId("com.example.app"),
        version=Version("1.2.3-beta.1"),
        serial=7,
        bundle=Bundle(Digest.of(clear), len(clear), entries, content_of(entries), "libdeflate (deflate 0.9.0) level 7"),
        sealed=Sealed(
            format="capgo",
            blob=Digest.of(b"sealed"),
            size=6,
            session_key="iv:key",
            checksum_hex="ab",
            checksum_base64="q80=",
            key_id="MIIBCgKCAQEAabcdefgh",
            iv="AAAA",
            wrapped_key="e30",
            additional_data='{"a":1}',
        ),
        created=CREATED,
        expires=CREATED.replace(year=2027),
        commit="0123456789abcdef0123456789abcdef01234567",
        channels=(ChannelName("beta"), ChannelName("stable")),
        native_min="2.0.0",
        native_max="3.0.0",
        provenance={"buildDefinition": {"buildType": "https://otagate.dev/build/v1"}},
    )
    return replace(release, **changes)


def bare_release(**changes: Any) -> Release:
    """Give a release in which everything that may be left out is left out."""
    digest = Digest.of(b"")
    release = Release(AppId("a.b"), Version("0.0.0"), 0, Bundle(digest, 0, (), digest, ""), Sealed("none", digest, 0), CREATED)
    return replace(release, **changes)
