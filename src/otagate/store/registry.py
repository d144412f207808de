"""A store by its URL. Adapters are imported only when their scheme is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.store.interface import Store

_PLANNED = ("s3", "gs", "az")
_memory: dict[str, Store] = {}
_memory_lock = threading.Lock()


def open_store(url: str) -> Store:
    """Open the store that a URL names. Nothing is created and nothing is asked for before the first use.

    Args:
        url: ``file:/absolute/path`` (taken as it is), ``file:///absolute/path`` (percent-decoded, as any URL), or
            ``memory:NAME`` (one store per name and process, for tests and rehearsals).

    Raises:
        UsageError: The scheme is unknown or not in this version, or the path is not absolute.
    """
    scheme, colon, rest = url.partition(":")
    opener = _SCHEMES.get(scheme.lower())
    if colon and opener is not None:
        return opener(rest)
    # A URL may hold a password: of one that is not understood only the scheme is shown.
    shown = harmless(scheme, 20) if colon else "no scheme"
    if colon and scheme.lower() in _PLANNED:
        raise UsageError(
            f"storage in {shown}: is not in this version",
            "storage",
            expected=_known(),
            remedy="use a folder, such as file:.otagate/store",
        )
    near = nearest(scheme.lower(), _SCHEMES)
    raise UsageError(
        "this is not a storage URL",
        "storage",
        expected=_known(),
        found=shown,
        remedy=f"did you mean {near}:?" if near else "use a folder, such as file:.otagate/store",
    )


def _known() -> str:
    return "one of " + ", ".join(f"{scheme}:" for scheme in sorted(_SCHEMES))


def _folder(rest: str) -> Store:
    from otagate.store.folder import FolderStore  # noqa: PLC0415 - only who uses a folder pays for it

    path = rest
    if rest.startswith("//"):
        parts = urlsplit("file:" + rest)
        if parts.netloc not in {"", "localhost"}:
            raise UsageError(
                "a file: URL names no other machine",
                "storage",
                expected="file:///absolute/path",
                found=f"the host {harmless(parts.netloc.rpartition('@')[2], 80)}",
            )
        path = unquote(rest.removeprefix("//").removeprefix(parts.netloc))
    if not path.startswith("/") or "\0" in path:
        raise UsageError(
            "the folder of a store must be given by its absolute path",
            "storage",
            expected="file:/absolute/path",
            found=f"file:{harmless(rest)}",
        )
    return FolderStore(Path(path))


def _shared_memory(name: str) -> Store:
    from otagate.store.memory import MemoryStore  # noqa: PLC0415 - only tests and rehearsals need it

    with _memory_lock:
        return _memory.setdefault(name, MemoryStore(name))


_SCHEMES: dict[str, Callable[[str], Store]] = {"file": _folder, "memory": _shared_memory}
