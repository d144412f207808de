"""The built files that go into a bundle, after every check that can be made without packing them."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless, size
from otagate.bundle import names, vet
from otagate.bundle.globs import Globs
from otagate.bundle.source import SourceFile
from otagate.errors import BundleError
from otagate.policy.model.bundles import BundleSpec

SHOWN_PER_REASON = 10
"""Most files that a message lists for one and the same reason."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a folder gave.

    Attributes:
        files: What to pack, sorted by the bytes of the path.
        left_out: Paths of clutter and of what ``bundle.exclude`` names; a folder ends in ``/``. For people.
    """

    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...]


def collect(folder: Path, spec: BundleSpec) -> tuple[SourceFile, ...]:
    """Give the files to pack; see :func:`survey`, which also tells what was left out."""
    return survey(folder, spec).files


def survey(folder: Path, spec: BundleSpec) -> Collection:
    """Walk the folder of built files and vet them.

    Args:
        folder: The web root.
        spec: What may go into a bundle.

    Raises:
        BundleError: With every problem in ``details``: no folder, no ``index.html`` at its root, no call of
            ``notifyAppReady``, secrets, links to the outside, names that phones would mix up, too many or too large files.
        AccessError: A file or folder cannot be read.
        UnavailableError: The disk fails.
    """
    if not folder.is_dir():
        remedy = "run the build first, or set build.output to the folder that it writes"
        raise BundleError("there is no folder of built files", harmless(str(folder), 400), remedy=remedy)
    try:
        walk = _Walk(folder.resolve(strict=True), spec)
        walk.run()
    except OSError as error:
        raise translate(error, "cannot read the built files", os.fsdecode(error.filename or folder)) from error
    walk.files.sort(key=lambda file: file.path.encode("utf-8"))
    _check_whole(walk)
    if walk.problems:
        raise BundleError(
            "the built files cannot be shipped",
            harmless(str(folder), 400),
            details=_grouped(walk.problems),
            remedy="mend the build; in the policy, bundle.exclude leaves files out and bundle.allow lets refused ones in",
        )
    return Collection(tuple(walk.files), tuple(sorted(walk.left_out)))


def _grouped(problems: list[tuple[str, str]]) -> tuple[str, ...]:
    """Write one line a problem, but few lines where thousands of files have the same one."""
    lines: list[str] = []
    counts = Counter(why for _, why in problems)
    listed: Counter[str] = Counter()
    for path, why in problems:
        listed[why] += 1
        if listed[why] <= SHOWN_PER_REASON:
            lines.append(f"{path}: {why}" if path else why)
    lines += [f"… and {more - SHOWN_PER_REASON} more: {why}" for why, more in counts.items() if more > SHOWN_PER_REASON]
    return tuple(lines)


def _check_whole(walk: _Walk) -> None:
    """Check what only all files together show."""
    spec, files = walk.spec, walk.files
    for other, path in names.twins(file.path for file in files):
        why = f"phones may take it for {harmless(other)}" if other != path else "two files have this name"
        walk.problem(path, why)
    total = sum(file.size for file in files)
    if total > spec.max_size:
        walk.problem("", f"all files together have {size(total)}, more than bundle.max_size ({size(spec.max_size)})")
    index = next((file for file in files if file.path == "index.html"), None)
    if not files:
        walk.problem("", "the folder has no files")
    elif index is None:
        walk.problem("", "there is no index.html at the root of the folder")
    elif index.size == 0:
        walk.problem("index.html", "it is empty")
    if files and spec.require_notify_app_ready and not any(vet.calls_notify_app_ready(file) for file in files):
        walk.problem("", "no script calls notifyAppReady(), so every phone would roll the bundle back")


@dataclass(slots=True)
class _Walk:
    """One walk over a folder: what it found, left out and objects to."""

    root: Path
    spec: BundleSpec
    files: list[SourceFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    allow: Globs = field(init=False)
    exclude: Globs = field(init=False)

    def __post_init__(self) -> None:
        self.allow, self.exclude = Globs.of(self.spec.allow), Globs.of(self.spec.exclude)

    def problem(self, path: str, why: str) -> None:
        """Note a problem."""
        self.problems.append((harmless(path, 400), why))

    def run(self) -> None:
        """Walk, folder by folder, until done or until there are too many files."""
        waiting = [(os.fsencode(self.root), "")]
        while waiting:
            folder, prefix = waiting.pop()
            # Bytes, not text: how Python decodes names depends on the locale, the bundle must not.
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = self._path(prefix, entry.name)
                    if path is not None and self._enter(entry, path):
                        waiting.append((entry.path, path + "/"))
                    if len(self.files) > self.spec.max_files:
                        self.problem("", f"there are more than {self.spec.max_files} files (bundle.max_files)")
                        return

    def _path(self, prefix: str, name: bytes) -> str | None:
        try:
            return prefix + unicodedata.normalize("NFC", name.decode("utf-8"))
        except UnicodeDecodeError:
            self.problem(prefix + name.decode("utf-8", "backslashreplace"), "the name is not UTF-8")
            return None

    def _enter(self, entry: os.DirEntry[bytes], path: str) -> bool:
        """Vet one entry, take it when it is a file, and tell whether it is a folder to walk into."""
        is_folder = entry.is_dir(follow_symlinks=False)
        if self._is_left_out(path):
            self.left_out.append(path + "/" * is_folder)
            return False
        why = names.fault(path)
        if why is None and not self._is_allowed(path, is_folder=is_folder):
            why = vet.refusal(path, source_maps=self.spec.source_maps)
        if why is not None:
            self.problem(path, why)
        elif is_folder:
            return True
        elif entry.is_symlink():
            self._take_link(entry, path)
        else:
            self._take(path, Path(os.fsdecode(entry.path)), entry.stat(follow_symlinks=False))
        return False

    def _is_left_out(self, path: str) -> bool:
        if self.exclude.matches(path):
            return True
        return vet.is_clutter(path.rpartition("/")[2]) and not self.allow.matches(path)

    def _is_allowed(self, path: str, *, is_folder: bool) -> bool:
        # A glob may name a file deep in a refused folder, so with any glob at all folders are walked and files decide.
        return bool(self.allow) if is_folder else self.allow.matches(path)

    def _take_link(self, entry: os.DirEntry[bytes], path: str) -> None:
        try:
            real = Path(os.path.realpath(os.fsdecode(entry.path), strict=True))
        except (FileNotFoundError, NotADirectoryError):
            return self.problem(path, "it is a symbolic link to nothing")
        except OSError:
            return self.problem(path, "it is a symbolic link that leads in a circle or cannot be followed")
        if not real.is_relative_to(self.root):
            return self.problem(path, "it is a symbolic link that leads out of the folder")
        target = real.relative_to(self.root).as_posix()
        why = None if self.allow.matches(path) else vet.refusal(target, source_maps=self.spec.source_maps)
        if why is not None or self.exclude.matches(target):
            return self.problem(path, f"it is a symbolic link to {harmless(target)}, which is not shipped")
        status = real.lstat()
        if stat.S_ISDIR(status.st_mode):
            return self.problem(path, "it is a symbolic link to a folder")
        return self._take(path, real, status)

    def _take(self, path: str, real: Path, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            return self.problem(path, "it is not a regular file")
        file = SourceFile.of(path, real, status)
        if file.size > self.spec.max_file_size:
            limit = f"{size(file.size)}, more than bundle.max_file_size ({size(self.spec.max_file_size)})"
            self.problem(path, limit)
        why = None if self.allow.matches(path) else vet.content_refusal(file)
        if why is not None:
            self.problem(path, why)
        self.files.append(file)
        return None
