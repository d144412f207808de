"""Reading and writing the small files of ``otagate init``."""

from __future__ import annotations

import os
from pathlib import Path

from otagate._fs import atomic_file, translate
from otagate._text import harmless
from otagate.errors import UsageError


def hand_text(public: str) -> str:
    """Write what a person adds to capacitor.config.ts or .js."""
    lines = public.rstrip("\n").split("\n")
    key = " +\n".join(f"        '{line}\\n'" for line in lines)
    return f"plugins: {{\n  CapacitorUpdater: {{\n    publicKey:\n{key},\n  }},\n}},"


def read_text(path: Path, what: str) -> str | None:
    """Read a UTF-8 file; None when there is none. ``what`` says in messages what failed.

    Raises:
        UsageError: Not UTF-8, or no file.
        AccessError, UnavailableError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError(what, harmless(str(path)), "UTF-8", f"the byte 0x{error.object[error.start]:02x}") from error
    except OSError as error:
        raise translate(error, what, path) from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that is there keeps its permissions.

    Raises:
        AccessError, UnavailableError, NotFoundError: It cannot be written.
    """
    try:
        kept = path.stat().st_mode & 0o777 if path.exists() else None
        with atomic_file(path) as stream:
            if kept is not None:  # whatever the umask would take away
                os.fchmod(stream.fileno(), kept)
            stream.write(text.encode("utf-8"))
    except OSError as error:
        raise translate(error, "a file cannot be written", path) from error
