"""The loggers of a server, as they were before a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def restored() -> Iterator[None]:
    known = [logging.getLogger(name) for name in ("otagate", "uvicorn.error", "asyncio")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in known]
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in zip(known, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
