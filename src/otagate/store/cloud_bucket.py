"""The objects of a store in a bucket, with retries and with errors of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from otagate._retry import Again, Patience, persist
from otagate.store.cloud_errors import explained
from otagate.store.objects import ObjectError, Objects, TransientError

OPERATION = Patience(total=60.0)
UPLOAD = Patience(total=600.0)
"""A large blob on a slow line takes its time; each part has a limit of its own."""

_T = TypeVar("_T")


class Bucket:
    """The objects below one prefix, with retries."""

    def __init__(self, objects: Objects, prefix: str, sleep: Callable[[float], None]) -> None:
        """See :func:`otagate.store.cloud.cloud_store`."""
        self.objects = objects
        self.prefix = prefix
        self._sleep = sleep

    def key(self, name: str) -> str:
        """Give the whole key of a name below the prefix."""
        return f"{self.prefix}{name}"

    def run(
        self,
        doing: str,
        name: str,
        action: Callable[[str], _T],
        patience: Patience = OPERATION,
        *,
        told: tuple[type[ObjectError], ...] = (),
    ) -> _T:
        """Carry out an operation on one key; ``doing`` completes "cannot …" in the error. What is ``told`` passes as it is."""
        key = self.key(name)
        try:
            return persist(lambda: action(key), _verdict, patience, sleep=self._sleep)
        except ObjectError as error:
            if isinstance(error, told):
                raise
            raise explained(error, doing, f"{self.objects.where}: {key}") from error


def _verdict(error: Exception) -> Again | None:
    return Again(error.retry_after) if isinstance(error, TransientError) else None
