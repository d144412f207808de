"""The file that is to be stored as a blob: opened safely and read in pieces, with errors of ours."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from otagate._fs import translate
from otagate.model import Digest
from otagate.store.damage import wrong_source
from otagate.store.disk import CHUNK_BYTES, open_regular

_CANNOT = "cannot read the file to store"


@contextmanager
def open_source(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file; gives it with its size in bytes.

    Raises:
        NotFoundError: It is missing.
        OtagateError: It cannot be read, or is no file.
    """
    try:
        handle = open_regular(path, follow=True)
    except OSError as error:
        raise translate(error, _CANNOT, path) from error
    with os.fdopen(handle, "rb", buffering=0) as stream:
        yield stream, os.fstat(stream.fileno()).st_size


def checked(stream: BinaryIO, path: Path, digest: Digest) -> Iterator[bytes]:
    """Give the file's bytes from where it stands on, in chunks; fail at the end unless they hash to ``digest``.

    What was written of them by then must not become a blob.

    Raises:
        VerificationError: They do not.
        OtagateError: As :func:`open_source`.
    """
    hasher = hashlib.sha256()
    while True:
        try:
            chunk = stream.read(CHUNK_BYTES)
        except OSError as error:
            raise translate(error, _CANNOT, path) from error
        if not chunk:
            break
        hasher.update(chunk)
        yield chunk
    found = Digest(hasher.hexdigest())
    if found != digest:
        raise wrong_source(path, digest, found)
