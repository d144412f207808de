from __future__ import annotations

import asyncio
import threading

import pytest

from otagate.server.http.answer import Refused
from otagate.server.http.threads import RETRY_S, Threads


def test_what_takes_too_long_is_told_so_and_holds_its_place_until_it_is_done() -> None:
    may_end, done = threading.Event(), threading.Event()

    def slow() -> None:
        may_end.wait(20)
        done.set()

    async def run() -> list[int]:
        threads = Threads("test", 1, 1, 0.01)
        statuses = []
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                await threads.run(slow)
            statuses.append(caught.value.answer.status)
            assert dict(caught.value.answer.headers)[b"retry-after"] == b"%d" % RETRY_S
        assert not done.is_set()
        may_end.set()
        for _ in range(2_000):
            if threads._room:
                break
            await asyncio.sleep(0.01)
        assert done.is_set()
        assert await threads.run(lambda: 7) == 7
        threads.stop()
        return statuses

    assert asyncio.run(run()) == [503, 503]


@pytest.mark.parametrize("patience_s", [None, 5.0])
def test_what_the_work_raises_is_raised(patience_s: float | None) -> None:
    def failing() -> None:
        raise TimeoutError("its own")

    async def run() -> None:
        threads = Threads("test", 1, 1, patience_s)
        with pytest.raises(TimeoutError, match="its own"):
            await threads.run(failing)
        threads.stop()

    asyncio.run(run())
