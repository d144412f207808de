"""The file manifest of a bundle as JSON: what is in it, with sizes and SHA-256."""

from __future__ import annotations

import json
from collections.abc import Sequence

from otagate import _canonical
from otagate.model import Bundle, Digest, FileEntry


def content_digest(files: Sequence[FileEntry]) -> Digest:
    """Digest what a bundle holds, whatever compressed it: canonical JSON of ``[[path, size, hex], …]``, in the zip's order."""
    return Digest.of(_canonical.dumps([[file.path, file.size, file.digest.hex] for file in files]))


def listing_json(bundle: Bundle) -> bytes:
    """Give the manifest (``otagate/manifest/v1``): ``{"schema", "archive", "content", "files": [{"path", "size", "sha256"}]}``.

    Files stand in the order of the zip, which is that of their paths' UTF-8 bytes.
    """
    data = {
        "schema": "otagate/manifest/v1",
        "archive": str(bundle.archive),
        "content": str(bundle.content),
        "files": [{"path": file.path, "size": file.size, "sha256": file.digest.hex} for file in bundle.files],
    }
    return (json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()
