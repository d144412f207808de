"""A sealed bundle kept on this machine until it is published, so that a killed upload goes on with the same bytes.

``<cache>/otagate/outbox/<app>-<archive>/``: the sealed file and how it is opened. Nothing in it is secret, and nothing in it is
believed: before it is used again it is opened with the key and must give the very zip. A cache folder that cannot be written
only means that a killed upload begins anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from otagate.model import AppId, Bundle, Digest, Sealed

STALE_AFTER_S = 7 * 86_400.0
"""What nobody came back for within a week, in seconds, is removed."""


class Outbox:
    """The place for one bundle of one app.

    Args:
        environ: Environment variables: ``XDG_CACHE_HOME``, else ``HOME``.
        app: Whose.
        bundle: Which.
    """

    def __init__(self, environ: Mapping[str, str], app: AppId, bundle: Bundle) -> None:
        home = environ.get("HOME")
        base = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)
        self._root = Path(base) / "otagate" / "outbox" if base and base.startswith("/") else None
        self._folder = self._root / f"{app}-{bundle.archive.hex}" if self._root else None

    def find(self) -> tuple[Sealed, Path] | None:
        """Give what was kept, when it is whole; whether it opens is for the caller to see."""
        if self._folder is None:
            return None
        try:
            told = json.loads((self._folder / "sealed.json").read_bytes())
            sealed = Sealed(**{**told, "blob": Digest.parse(told["blob"])})
            path = self._folder / "sealed.bin"
            if path.stat().st_size != sealed.size or _digest(path) != sealed.blob:
                return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return sealed, path

    def keep(self, sealed: Sealed, sealed_file: Path) -> Path:
        """Keep a sealed file; gives where it is now: here, or where it was when it cannot be kept."""
        if self._folder is None or self._root is None:
            return sealed_file
        try:
            self._sweep(self._root)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True, mode=0o700)
            path = self._folder / "sealed.bin"
            shutil.copyfile(sealed_file, path)
            told = {**asdict(sealed), "blob": str(sealed.blob)}
            (self._folder / "sealed.json").write_text(json.dumps(told), encoding="utf-8")
        except OSError:
            return sealed_file
        return path

    def clear(self) -> None:
        """Forget the bundle: it is published."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _sweep(self, root: Path) -> None:
        oldest = time.time() - STALE_AFTER_S
        for folder in root.glob("*"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _digest(path: Path) -> Digest:
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())
