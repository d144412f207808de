"""Ctrl-C while a library is busy: outside Python no signal is heard before the end, and a stalled upload may take minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.2
GRACE_S = 5.0
"""For taking back what was sent, after Ctrl-C. Who does not answer by then is left; ``prune`` finds what stays."""


def interruptible(action: Callable[[], None], stop: Callable[[], None]) -> None:
    """Carry out ``action`` in a thread of its own, so that a signal ends the waiting for it.

    Elsewhere than in the main thread, where no signal comes, it is just carried out.

    Args:
        action: What may take long.
        stop: Asks it to end, after a signal.

    Raises:
        BaseException: What ``action`` raised, or what the signal did.
    """
    if threading.current_thread() is not threading.main_thread():
        action()
        return
    failures: list[BaseException] = []
    # Not Thread.join: a signal in it makes Python 3.11 take a running thread for one that has ended.
    is_over = threading.Event()

    def work() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread that waits
            failures.append(error)
        finally:
            is_over.set()

    # A daemon: the process must be able to end while the library still waits for an answer.
    thread = threading.Thread(target=work, name="otagate-upload", daemon=True)
    thread.start()
    try:
        while not is_over.wait(POLL_S):
            pass
    except BaseException:
        stop()
        is_over.wait(GRACE_S)
        raise
    if failures:
        raise failures[0]
