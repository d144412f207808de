"""What the seals share: one file in, one file out, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from otagate._fs import atomic_file, translate
from otagate._text import harmless
from otagate.errors import VerificationError
from otagate.model import Digest

CHUNK = 1024 * 1024
"""Bytes that are worked on at a time: large enough for full speed, small enough to be no memory to speak of."""
PUBLIC_MODE = 0o644
"""Sealed bytes are for everybody."""
PRIVATE_MODE = 0o600
"""Opened bytes were secret."""


@contextmanager
def one_to_one(source: Path, target: Path, *, mode: int) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open ``source`` for reading and ``target`` for writing; when the body fails, nothing stands at ``target``.

    The body does no other IO: every OS error in it is one of these two files.

    Raises:
        NotFoundError, AccessError, UnavailableError, UsageError: As :func:`otagate._fs.translate` says.
    """
    try:
        reader = source.open("rb")
    except OSError as error:
        raise translate(error, "the file cannot be read", source) from error
    with reader:
        try:
            with atomic_file(target, mode=mode) as writer:
                yield reader, writer
        except OSError as error:
            raise translate(error, "the file cannot be written", target) from error


def require_same(found: Digest, expected: Digest, source: Path) -> None:
    """Refuse a file whose bytes are not those that were vetted.

    Raises:
        VerificationError: The digests differ.
    """
    if found != expected:
        raise VerificationError(
            "the bundle changed while it was sealed",
            harmless(str(source), 400),
            expected=str(expected),
            found=str(found),
            remedy="see that nothing else writes there, and run again",
        )
