"""What a worker process does, and how it tells the process above."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from otagate.errors import OtagateError
from otagate.server.transport.options import MakeApp, RunOptions
from otagate.server.transport.runner import run_here

if TYPE_CHECKING:
    from otagate.server.transport.limits import Limits

READY = "ready"
"""What it sends when requests are taken; anything else is a packed error."""


def work(options: RunOptions, make_app: MakeApp, listening: socket.socket, told: Connection, limits: Limits | None) -> None:
    """Be a worker: serve, and tell the process above when requests are taken, or why not."""
    # A terminal sends it to the whole group; the process above says by SIGTERM what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    above = multiprocessing.parent_process()
    parent = above.sentinel if above is not None else None
    try:
        run_here(options, make_app, listening, lambda: told.send(READY), limits=limits, parent=parent)
    except OtagateError as error:
        told.send(pack(error))
        raise SystemExit(int(error.exit_code)) from None


def pack(error: OtagateError) -> tuple[type[OtagateError], dict[str, Any]]:
    """Give an error as values that can be sent to another process."""
    return type(error), {field.name: getattr(error, field.name) for field in fields(OtagateError)}


def revive(packed: tuple[type[OtagateError], dict[str, Any]]) -> OtagateError:
    """Give the error back; see :func:`pack`."""
    kind, values = packed
    return kind(**values)
