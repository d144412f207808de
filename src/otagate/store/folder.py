"""A store in a folder: blobs and documents as files, safe against crashes and against other processes.

Whatever is written goes to an unfinished file beside its place, is synced, and gets its name in one atomic step: by a hard
link where the name must be free, by a rename otherwise. A document's compare-and-swap holds a lock that the kernel lets
go when its process dies. Reading creates nothing, not even the folder.

Besides the errors of the ports: ``UsageError`` where a file stands in the place of a folder or the other way round.

Limits: one machine, or a network file system with working locks and renames; not NFS without a lock daemon. The folder's
file system should tell upper from lower case: where it does not, two names that differ only so are refused as tampered.
**Source:** docs/adr/0004-compare-and-swap.md.
"""

from __future__ import annotations

from pathlib import Path

from otagate.store.disk import Place
from otagate.store.folder_blobs import FolderBlobs
from otagate.store.folder_documents import FolderDocuments
from otagate.store.interface import Store


class FolderStore(Store):
    """The store in one folder, which need not exist yet.

    Args:
        root: An absolute path; a symbolic link is fine.
    """

    def __init__(self, root: Path) -> None:
        place = Place(root)
        super().__init__(url=f"file:{root}", blobs=FolderBlobs(place), documents=FolderDocuments(place))
