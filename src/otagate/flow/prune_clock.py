"""Is this machine's clock to be trusted with the question how old something is? The store's own clock is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from otagate.errors import UsageError
from otagate.model import Digest
from otagate.store.interface import BlobStore, StoredBlob
from otagate.store.jsondoc import new_txn

TOLERANCE = timedelta(minutes=10)
"""How far this machine's clock and the store's may be apart."""


def refuse_slow_clock(listings: Sequence[Iterable[StoredBlob]], newest: datetime | None, now: datetime) -> None:
    """Refuse to go on when something seems to have been written in the future.

    Args:
        listings: The blobs of each store.
        newest: The latest instant that a document tells.
        now: What this machine's clock says.

    Raises:
        UsageError: So it seems: this clock is slow, or another one was fast.
    """
    written = [blob.modified for listing in listings for blob in listing]
    latest = max([*written, *([newest] if newest else [])], default=now)
    if latest > now + TOLERANCE:
        raise _wrong(f"something that was written at {latest:%Y-%m-%d %H:%M} UTC", now)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A blob of a few bytes that was just written: its time in a listing is what the store's clock says.

    Attributes:
        digest: Its name.
        written: What this machine's clock said.
    """

    digest: Digest
    written: datetime

    @classmethod
    def put(cls, blobs: BlobStore, now: datetime) -> Stamp:
        """Write one."""
        body = f"a stamp of otagate prune: {new_txn()}\n".encode()
        with TemporaryDirectory(prefix="otagate-prune-") as folder:
            path = Path(folder) / "stamp"
            path.write_bytes(body)
            blobs.put(Digest.of(body), path, content_type="text/plain")
        return cls(Digest.of(body), now)

    def check(self, listing: Iterable[StoredBlob]) -> None:
        """Compare the clocks.

        Raises:
            UsageError: They are too far apart; or the listing lacks what was written before it.
        """
        found = next((blob.modified for blob in listing if blob.digest == self.digest), None)
        if found is None:
            raise UsageError(
                "the store does not list what was just written, so it cannot be told what is needed",
                str(self.digest),
                expected="a listing that is up to date",
                remedy="use another endpoint of the service",
            )
        if abs(found - self.written) > TOLERANCE:
            raise _wrong(f"the store wrote at {found:%Y-%m-%d %H:%M} UTC", self.written)


def _wrong(found: str, now: datetime) -> UsageError:
    return UsageError(
        "this machine's clock and the store's disagree, so nothing is removed by its age",
        f"{now:%Y-%m-%d %H:%M} UTC here",
        expected=f"at most {TOLERANCE.total_seconds() / 60:.0f} minutes between them",
        found=found,
        remedy="set the clock of this machine, and run it again",
    )
