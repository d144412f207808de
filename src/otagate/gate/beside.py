"""Asking sources side by side: one that is slow costs its own time only, and a look is no longer than it must be.

The readings do not depend on it: they come in the order of the questions, and each question is asked once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from otagate.gate.interface import Independent, MetricQuery, MetricSource

T = TypeVar("T")

AT_ONCE = 4
"""So many sources are asked at once, this thread's among them: fewer than any store allows one user. **Source:** Microsoft's
"Azure Monitor service limits" has the least: five queries at once."""
_POLL_S = 0.2

Question = tuple[MetricSource | None, MetricQuery]


def ask_all(questions: Sequence[Question], read: Callable[[MetricSource | None, MetricQuery], T]) -> list[T]:
    """Put every question to its source, up to :data:`AT_ONCE` at a time.

    Only sources that are :class:`~otagate.gate.interface.Independent` leave this thread: all others share a database, answers
    that are kept, or a machine, and are asked here, one after the other. One source is never asked two things at once.

    Args:
        questions: What is asked, and of whom.
        read: Asks; what it raises is a bug.

    Returns:
        The answers, in the order of the questions.

    Raises:
        BaseException: What ``read`` raised first, or what a signal did. Who is still being asked then is not waited for.
    """
    here: list[int] = []
    lanes: dict[int, list[int]] = {}
    for place, (source, _) in enumerate(questions):
        lane = lanes.setdefault(id(source), []) if isinstance(source, Independent) else here
        lane.append(place)
    return _Round(questions, read, here, list(lanes.values())).answers()


class _Round(Generic[T]):
    """One round of questions. A lane is the questions of one source; whoever is free takes the next."""

    def __init__(
        self,
        questions: Sequence[Question],
        read: Callable[[MetricSource | None, MetricQuery], T],
        here: list[int],
        lanes: Sequence[list[int]],
    ) -> None:
        self._questions, self._read, self._here = questions, read, here
        self._lanes = deque(lanes)
        self._found: dict[int, T] = {}
        self._bugs: list[BaseException] = []
        self._is_off = threading.Event()

    def answers(self) -> list[T]:
        """Ask all; the calling thread takes its part."""
        wanted = min(len(self._lanes) + bool(self._here), AT_ONCE) - 1
        try:
            helpers = [helper for _ in range(wanted) if (helper := self._helper()) is not None]
            self._ask(self._here)
            self._help()
            for is_over in helpers:
                # With a limit: a signal is heard between two waits at the latest, whichever thread it comes to.
                while not is_over.wait(_POLL_S):
                    pass
        finally:
            # After Ctrl-C nobody begins anything new, and nobody is waited for: helpers end with the process.
            self._is_off.set()
        if self._bugs:
            raise self._bugs[0]
        return [self._found[place] for place in range(len(self._questions))]

    def _helper(self) -> threading.Event | None:
        # Not Thread.join: a signal in it makes Python 3.11 take a running thread for one that has ended.
        is_over = threading.Event()

        def work() -> None:
            try:
                self._help()
            except BaseException as bug:  # noqa: BLE001 - it is raised in the thread that waits
                self._bugs.append(bug)
                self._is_off.set()
            finally:
                is_over.set()

        try:
            threading.Thread(target=work, name="otagate-source", daemon=True).start()
        except RuntimeError:  # this system gives no thread: then the calling one asks more
            return None
        return is_over

    def _help(self) -> None:
        while not self._is_off.is_set():
            try:
                lane = self._lanes.popleft()
            except IndexError:
                return
            self._ask(lane)

    def _ask(self, lane: Sequence[int]) -> None:
        for place in lane:
            if self._is_off.is_set():
                return
            self._found[place] = self._read(*self._questions[place])
