"""A fleet against a real server: the virtual clock runs with the machine's, faster when asked, on several threads."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from otagate.fleet.device import NEVER
from otagate.fleet.run import Fleet

_POLL_S = 0.5
"""How often the progress is told, and at the latest when a new device may be due."""


def run_live(
    fleet: Fleet,
    *,
    duration_s: float,
    speed: float = 1.0,
    threads: int = 32,
    on_progress: Callable[[float], None] = lambda _share: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run for that long by the machine's clock, in which ``duration_s * speed`` pass for the devices.

    Each device is woken by one thread at a time, so it does what it does in the order of its own agenda.

    Args:
        fleet: Made, not run yet.
        duration_s: Real seconds.
        speed: Virtual seconds in a real one.
        threads: How many devices are served at once.
        on_progress: Told the share of the time that has passed.
        clock: For tests, as is ``sleep``.
        sleep: Waits so many seconds while no device is busy.
    """
    began, start = clock(), fleet.now
    busy: dict[Future[float], int] = {}
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="device") as pool:
        try:
            while (passed := clock() - began) < duration_s:
                fleet.now = start + passed * speed
                patience = min(_hand_out(fleet, pool, busy, threads) / speed, _POLL_S, duration_s - passed)
                on_progress(passed / duration_s)
                if busy:
                    _settle(fleet, busy, patience)
                else:
                    sleep(patience)
        finally:
            while busy:
                _settle(fleet, busy, None)
    fleet.now = start + duration_s * speed
    on_progress(1.0)


def _hand_out(fleet: Fleet, pool: ThreadPoolExecutor, busy: dict[Future[float], int], threads: int) -> float:
    """Give devices that are due to threads that are free; give the virtual seconds until there is more to hand out."""
    agenda = fleet.agenda
    while agenda and agenda[0][0] <= fleet.now and len(busy) < threads:
        _due, index = heapq.heappop(agenda)
        busy[pool.submit(fleet.devices[index].wake, fleet.now)] = index
    return max(0.0, agenda[0][0] - fleet.now) if agenda and len(busy) < threads else NEVER


def _settle(fleet: Fleet, busy: dict[Future[float], int], timeout_s: float | None) -> None:
    """Wait for a device, or for the time to pass, and put those that are done back on the agenda."""
    done, _pending = wait(busy, timeout=timeout_s, return_when=FIRST_COMPLETED)
    for future in done:
        index, due = busy.pop(future), future.result()
        if due != NEVER:
            heapq.heappush(fleet.agenda, (due, index))
