"""A store by its URL. Adapters are imported only when their scheme is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.store.interface import Store
from otagate.store.objects import Objects
from otagate.store.url import parse_bucket_url

_memory: dict[str, Store] = {}
_memory_lock = threading.Lock()


def open_store(url: str, environ: Mapping[str, str] = MappingProxyType({})) -> Store:
    """Open the store that a URL names; before the first document is written to a bucket, the bucket is tried.

    Arguments and errors as :func:`open_untried`; what comes of the trial is in :mod:`otagate.store.guarded`.
    """
    store = open_untried(url, environ)
    if not store.where:
        return store
    from otagate.store.guarded import GuardedDocuments  # noqa: PLC0415 - only who uses a bucket pays for it

    return replace(store, documents=GuardedDocuments(store.documents, store.where))


def open_untried(url: str, environ: Mapping[str, str] = MappingProxyType({})) -> Store:
    """Open the store that a URL names. Nothing is created and nothing is asked for before the first use.

    Args:
        url: ``s3://BUCKET/PREFIX``, ``gs://…``, ``az://…`` with options (:mod:`otagate.store.url`);
            ``file:/absolute/path`` (taken as it is), ``file:///absolute/path`` (percent-decoded, as any URL), or
            ``memory:NAME`` (one store per name and process, for tests and rehearsals).
        environ: Environment variables, for who we are to a cloud.

    Raises:
        UsageError: The scheme is unknown, the URL is wrong, or the libraries for that cloud are not installed.
    """
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if colon and scheme in _BUCKETS:
        return _bucket(url, environ)
    opener = _SCHEMES.get(scheme)
    if colon and opener is not None:
        return opener(rest)
    # A URL may hold a password: of one that is not understood only the scheme is shown.
    near = nearest(scheme, (*_SCHEMES, *_BUCKETS))
    raise UsageError(
        "this is not a storage URL",
        "storage",
        expected="one of " + ", ".join(f"{name}:" for name in sorted((*_SCHEMES, *_BUCKETS))),
        found=harmless(scheme, 20) if colon else "no scheme",
        remedy=f"did you mean {near}:?" if near else "use a folder, such as file:.otagate/store",
    )


def _bucket(url: str, environ: Mapping[str, str]) -> Store:
    from otagate.store.cloud import cloud_store  # noqa: PLC0415 - only who uses a bucket pays for it

    parsed = parse_bucket_url(url)
    module_name, extra = _BUCKETS[parsed.scheme]
    try:
        objects: Objects = import_module(module_name).open_objects(parsed, environ)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("otagate"):
            raise
        raise UsageError(
            f"stores in {parsed.scheme}: need libraries that are not installed",
            parsed.shown,
            expected=f"the extra {extra}",
            found=f"no module {error.name}",
            remedy=f"pip install 'otagate[{extra}]'",
        ) from error
    reader = None
    if parsed.public is not None:
        from otagate.store.public import PublicReader  # noqa: PLC0415 - only stores with a public address need it

        reader = PublicReader(parsed.public)
    return cloud_store(parsed.shown, objects, parsed.prefix, reader)


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
_BUCKETS = {
    "s3": ("otagate.store.s3", "s3"),
    "gs": ("otagate.store.gcs", "gcs"),
    "az": ("otagate.store.azure", "azure"),
}
"""Scheme to the adapter's module and the extra that brings its libraries."""
