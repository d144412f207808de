"""No host that listens: the command line's own output is all there is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from otagate.ci.interface import Level


class PlainReporter:
    """Does nothing."""

    def outputs(self, values: Mapping[str, str]) -> None:
        """See Reporter.outputs."""

    def summary(self, markdown: str) -> None:
        """See Reporter.summary."""

    def annotate(self, level: Level, message: str, file: str | None = None, line: int | None = None) -> None:
        """See Reporter.annotate."""

    def mask(self, secret: str) -> None:
        """See Reporter.mask."""

    def fold(self, title: str) -> AbstractContextManager[None]:
        """See Reporter.fold."""
        return nullcontext()
