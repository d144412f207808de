"""Blobs and documents in a bucket, whichever cloud it is: everything that the adapters have in common.

Each operation on the bucket is tried again as :mod:`otagate._retry` says while the service is slow or gone, and every failure
leaves as an error of ours that names the object, the permission or the option. Blobs are written once and may be kept for ever
by whoever serves them; documents are never kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from otagate.store.cloud_blobs import CloudBlobs
from otagate.store.cloud_bucket import Bucket
from otagate.store.cloud_documents import CloudDocuments
from otagate.store.interface import Store
from otagate.store.objects import Objects

if TYPE_CHECKING:
    from otagate.store.public import PublicReader


def cloud_store(
    url: str,
    objects: Objects,
    prefix: str,
    reader: PublicReader | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Store:
    """Make a store of a bucket.

    Args:
        url: Names it to people.
        objects: The bucket.
        prefix: What every key begins with: empty, or ending in ``/``.
        reader: Reads blobs through the public address; None: through the bucket itself.
        sleep: Waits between attempts; for tests.
    """
    bucket = Bucket(objects, prefix, sleep)
    name, at, endpoint = objects.where.partition(" at ")
    where = f"{name}/{prefix}".rstrip("/") + at + endpoint
    return Store(url, CloudBlobs(bucket, reader), CloudDocuments(bucket), where=where)
