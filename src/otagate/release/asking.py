"""Asking every mirror at the same time: a slow one costs its own time only, and an error names the mirror that it came from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from otagate.errors import OtagateError, UnavailableError
from otagate.store.interface import OnProgress, Store

T = TypeVar("T")


class MirrorUnavailableError(UnavailableError):
    """A mirror did not answer. The first store did, or nobody would know."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of asking one mirror: a value, or the error, which names the mirror."""

    mirror: Store
    value: T | None
    error: OtagateError | None = None


def ask(mirrors: Sequence[Store], action: Callable[[Store], T]) -> list[Answer[T]]:
    """Do something with every mirror at the same time; an error of one does not keep it from the others."""

    def one(mirror: Store) -> Answer[T]:
        try:
            return Answer(mirror, action(mirror))
        except OtagateError as error:
            return Answer(mirror, None, _named(error, mirror))

    if len(mirrors) < 2:  # noqa: PLR2004 - one needs no thread
        return [one(mirror) for mirror in mirrors]
    with ThreadPoolExecutor(len(mirrors), thread_name_prefix="mirror") as pool:
        return list(pool.map(one, mirrors))


def raise_first(answers: Sequence[Answer[T]]) -> None:
    """Raise the first error among the answers, if there is one."""
    for answer in answers:
        if answer.error is not None:
            raise answer.error


class SummedProgress:
    """One progress made of several."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._tell, self._lock = on_progress, threading.Lock()
        self._parts: dict[int, tuple[int, int]] = {}

    def of(self, store: Store) -> OnProgress:
        """Give what one of the stores tells."""

        def hear(done: int, total: int) -> None:
            with self._lock:
                self._parts[id(store)] = (done, total)
                sums = [sum(part) for part in zip(*self._parts.values(), strict=True)]
                self._tell(sums[0], sums[1])

        return hear


def _named(error: OtagateError, mirror: Store) -> OtagateError:
    what = f"{error.what}, in the mirror {mirror.url}"
    if isinstance(error, UnavailableError):
        fields = (error.subject, error.expected, error.found, error.remedy, error.details)
        named: OtagateError = MirrorUnavailableError(what, *fields)
    else:
        named = replace(error, what=what)
    named.__cause__ = error
    return named
