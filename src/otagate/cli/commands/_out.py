"""Where a verb writes a file that was asked for."""

from __future__ import annotations

from pathlib import Path

from otagate._fs import is_special
from otagate.cli.output import CommandEnv
from otagate.errors import UsageError


def output_path(text: str, env: CommandEnv) -> Path:
    """Give the file that an ``--out`` names.

    Raises:
        UsageError: Its folder does not exist, or it is a folder, a device or a pipe.
    """
    path = env.cwd / text
    special = is_special(path)
    if path.is_dir() or special or not path.parent.is_dir():
        raise UsageError(
            "this file cannot be written",
            str(path),
            expected="a file name in an existing folder",
            found="a folder" if path.is_dir() else "a device or a pipe" if special else "no such folder",
            remedy="make the folder, or name another file",
        )
    return path
