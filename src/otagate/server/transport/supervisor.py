"""Several workers on one socket: started, started again when they die, ended together.

Workers are spawned, not forked: nothing that this process has opened, no lock and no thread, can be theirs by accident. The
listening socket is shared and stays open here, so a connection that comes while a worker is away waits for another one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from otagate.errors import ExitCode, OtagateError, UnavailableError
from otagate.server.transport import logs
from otagate.server.transport.child import READY, revive, work
from otagate.server.transport.options import MakeApp, RunOptions

if TYPE_CHECKING:
    from otagate.server.transport.limits import Limits

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 30.0
_SETTLED_S = 60.0
"""A worker that lived so long is started again without a wait."""
_GRACE_S = 20.0
"""What a worker may take after its drain deadline, before it is killed."""


def back_off(failures: int) -> float:
    """Give the seconds to wait before a worker is started again that died ``failures`` times in a row."""
    return 0.0 if failures <= 0 else min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 20))


@dataclass(slots=True)
class _Slot:
    """One worker's place."""

    number: int
    process: BaseProcess | None = None
    told: Connection | None = None
    is_ready: bool = False
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    error: OtagateError | None = None


class Supervisor:
    """See the module.

    Args:
        options: How to serve.
        make_app: Picklable.
        listening: The socket.
        on_ready: Called once with all process ids, when every worker answers.
        limits: For tests.
    """

    def __init__(
        self,
        options: RunOptions,
        make_app: MakeApp,
        listening: socket.socket,
        on_ready: Callable[[Sequence[int]], None],
        limits: Limits | None = None,
    ) -> None:
        self._options = options
        self._make_app = make_app
        self._listening = listening
        self._on_ready = on_ready
        self._limits = limits
        self._context = multiprocessing.get_context("spawn")
        self._slots = [_Slot(number) for number in range(1, options.workers + 1)]
        self._log = logs.set_up(options.log_format)
        self._was_ready = False
        self._asked = 0

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises:
            OtagateError: A worker could not start, before all of them ever answered.
        """
        wake_in, wake_out = socket.socketpair()
        wake_in.setblocking(False)
        wake_out.setblocking(False)
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        wakeup = signal.set_wakeup_fd(wake_in.fileno(), warn_on_full_buffer=False)
        try:
            self._watch(wake_out)
        finally:
            self._end()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            wake_in.close()
            wake_out.close()

    def _watch(self, wake: socket.socket) -> None:
        while not self._asked:
            now = time.monotonic()
            for slot in self._slots:
                if slot.process is None and now >= slot.due:
                    self._start(slot)
            if self._announce():
                continue
            self._wait(wake, self._until_due(now))

    def _until_due(self, now: float) -> float | None:
        due = min((slot.due for slot in self._slots if slot.process is None), default=inf)
        return None if due == inf else max(0.0, due - now)

    def _wait(self, wake: socket.socket, timeout: float | None) -> None:
        told = {slot.told: slot for slot in self._slots if slot.told is not None}
        gone = {slot.process.sentinel: slot for slot in self._slots if slot.process is not None}
        ready = wait([wake, *told, *gone], timeout)
        for thing in ready:
            if thing is wake:
                wake.recv(64)
            elif isinstance(thing, Connection):
                self._hear(told[thing])
        for thing in ready:
            if isinstance(thing, int):
                self._bury(gone[thing])

    def _start(self, slot: _Slot) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=work,
            args=(self._options, self._make_app, self._listening, theirs, self._limits),
            name=f"otagate-worker-{slot.number}",
        )
        process.start()
        theirs.close()
        slot.process, slot.told, slot.is_ready, slot.started = process, ours, False, time.monotonic()

    def _hear(self, slot: _Slot) -> None:
        if slot.told is None:
            return
        try:
            word = slot.told.recv()
        except (EOFError, OSError):
            slot.told.close()
            slot.told = None
            return
        if word == READY:
            slot.is_ready = True
            if self._was_ready:
                self._log.info("worker_started", extra={"worker": slot.number, "pid": slot.process and slot.process.pid})
        else:
            slot.error = revive(word)

    def _announce(self) -> bool:
        """Say once that all workers answer."""
        if self._was_ready or not all(slot.is_ready for slot in self._slots):
            return False
        self._was_ready = True
        self._on_ready([slot.process.pid for slot in self._slots if slot.process is not None and slot.process.pid])
        return True

    def _bury(self, slot: _Slot) -> None:
        """A worker is gone: start it again soon, or give up when it never came to be."""
        process, now = slot.process, time.monotonic()
        if process is None:
            return
        self._hear(slot)  # what it said last
        process.join()
        code = process.exitcode
        process.close()
        slot.process = None
        if slot.told is not None:
            slot.told.close()
            slot.told = None
        if not self._was_ready and not self._asked:
            raise slot.error or _died(slot.number, code)
        lived = now - slot.started
        slot.failures = 0 if lived >= _SETTLED_S or code == 0 else slot.failures + 1
        slot.due = now + back_off(slot.failures)
        if not self._asked:
            detail = str(slot.error) if slot.error is not None else None
            about = {"worker": slot.number, "exit_code": code, "after_s": round(back_off(slot.failures), 2), "detail": detail}
            self._log.error("worker_died", extra=about)
        slot.error, slot.is_ready = None, False

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
            return
        self._asked += 1
        if self._asked > 1:
            self._tell(signal.SIGKILL)
            sys.stderr.flush()
            os._exit(ExitCode.INTERRUPTED)

    def _tell(self, number: int) -> None:
        for slot in self._slots:
            # Only a process that was not waited for yet still owns its id.
            if slot.process is not None and slot.process.is_alive() and slot.process.pid is not None:
                os.kill(slot.process.pid, number)

    def _end(self) -> None:
        """End all workers, together. The socket goes first: the last worker to close it takes what has come."""
        self._asked = max(self._asked, 1)
        self._listening.close()
        self._tell(signal.SIGTERM)
        end = time.monotonic() + self._options.drain_s + _GRACE_S
        for slot in self._slots:
            if slot.process is not None:
                slot.process.join(max(0.0, end - time.monotonic()))
                if slot.process.is_alive():
                    self._log.error("worker_killed", extra={"worker": slot.number})
                    slot.process.kill()
                    slot.process.join()


def _died(number: int, code: int | None) -> OtagateError:
    return UnavailableError(
        "a worker died before it could serve",
        f"worker {number}",
        found=f"exit code {code}",
        remedy="start with --workers 1 to see why",
    )
