"""The port through which a run tells its CI host what happened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol


class Level(StrEnum):
    """How bad an annotation is."""

    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class Reporter(Protocol):
    """One job's ways of being told.

    Texts may be untrusted: an adapter makes them harmless for its host. An adapter that has no place for a thing does nothing.
    Errors of every method: ``AccessError`` and ``UnavailableError`` when the host's file cannot be written. They say nothing
    about the rollout, so a caller warns and goes on.
    """

    def outputs(self, values: Mapping[str, str]) -> None:
        """Hand flat values to later steps and jobs. Names are kebab-case, such as ``bundle-url``; a later call wins."""
        ...

    def summary(self, markdown: str) -> None:
        """Add Markdown to the job's summary page; what is too long for the host is cut, and says so."""
        ...

    def annotate(self, level: Level, message: str, file: str | None = None, line: int | None = None) -> None:
        """Show a problem in the host's interface, at a file and line of the repository when they are known.

        Args:
            level: How bad.
            message: One or more lines of text.
            file: Path relative to the repository's top.
            line: From 1.
        """
        ...

    def mask(self, secret: str) -> None:
        """Have the host blot out a secret in everything that is logged from now on."""
        ...

    def fold(self, title: str) -> AbstractContextManager[None]:
        """Fold what the ``with`` body logs under a title. Commands to the host in it, as a build may print, are inert."""
        ...
