"""The two ways in which bytes and their digest can disagree, as errors; every blob store raises the same."""

from __future__ import annotations

from pathlib import Path

from otagate._text import harmless
from otagate.errors import UsageError, VerificationError
from otagate.model import Digest


def wrong_source(source: Path, expected: Digest, found: Digest) -> VerificationError:
    """Make the error for a file that does not hash to the digest it is to be stored under."""
    return VerificationError(
        "the file to store is not the one that was announced",
        harmless(str(source), 400),
        expected=str(expected),
        found=str(found),
        remedy="build and seal again: the file changed meanwhile",
    )


def damaged_blob(digest: Digest, url: str, *, expected: int, found: int) -> VerificationError:
    """Make the error for a blob whose size at rest cannot be right. Sizes are bytes."""
    return VerificationError(
        f"blob {digest} is damaged in the store",
        url,
        expected=f"{expected} bytes",
        found=f"{found} bytes",
        remedy="delete it and publish again",
    )


def unsigned(url: str, why: str = "only s3:, gs: and az: stores sign addresses") -> UsageError:
    """Make the error for a store that has no signed addresses."""
    return UsageError("this store cannot sign an address", url, found=why, remedy="let devices read the store, or use a bucket")
