from __future__ import annotations

from otagate import _canonical
from otagate.bundle.listing import listing_json
from otagate.model import Bundle, Digest, FileEntry


def test_the_manifest_lists_every_file_with_size_and_digest() -> None:
    files = (FileEntry("a.js", 2, Digest.of(b"aa")), FileEntry("ü.css", 1, Digest.of(b"b")))
    bundle = Bundle(Digest.of(b"zip"), 7, files, Digest.of(b"content"), "some compressor")
    data = listing_json(bundle)
    assert data.endswith(b"\n")
    assert _canonical.loads(data) == {
        "schema": "otagate/manifest/v1",
        "archive": str(bundle.archive),
        "content": str(bundle.content),
        "files": [
            {"path": "a.js", "size": 2, "sha256": Digest.of(b"aa").hex},
            {"path": "ü.css", "size": 1, "sha256": Digest.of(b"b").hex},
        ],
    }
