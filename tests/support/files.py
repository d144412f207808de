"""Looking at folders."""

from __future__ import annotations

from pathlib import Path


def names_in(folder: Path) -> list[str]:
    """Give the names in a folder, sorted, those with a dot in front too."""
    return sorted(path.name for path in folder.iterdir())
