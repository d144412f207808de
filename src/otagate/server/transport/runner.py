"""Serve: in this process, or in several that this one watches over."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otagate.errors import UsageError
from otagate.server.transport import logs
from otagate.server.transport.options import App, MakeApp, RunOptions
from otagate.server.transport.ready import Address, remove_ready, write_ready
from otagate.server.transport.tls import Tls

if TYPE_CHECKING:
    from otagate.server.transport.limits import Limits

_SWITCH_S = 0.0005
_NEEDED = ("uvicorn", "httptools")


def serve(options: RunOptions, make_app: MakeApp, *, limits: Limits | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun, and return. A second signal ends the process at once.

    When all workers answer, one line on stderr says where, and ``options.ready_file`` is written.

    Args:
        options: How.
        make_app: Makes the app, once in each worker.
        limits: Bounds, for tests; None: those of the options.

    Raises:
        UsageError: The extra ``server`` is not installed, or the address cannot be listened on.
        KeyMaterialError: The certificate or its key cannot be used.
        OtagateError: The app could not start or end.
    """
    check_installed()
    from otagate.server.transport.listener import bind  # noqa: PLC0415 - needs the extra

    log = logs.set_up(options.log_format)
    pin = _check_tls(options, log.warning)
    listening = bind(options.host, options.port)
    address = Address(options.host, listening.getsockname()[1], options.tls_cert is not None)

    def ready(workers: Sequence[int]) -> None:
        if options.ready_file is not None:
            write_ready(options.ready_file, address, workers)
        many = f", {options.workers} workers" if options.workers > 1 else ""
        sys.stderr.write(f"otagate: serving {address.url}{many}{', pin ' + pin if pin else ''}\n")
        sys.stderr.flush()

    try:
        if options.workers == 1:
            run_here(options, make_app, listening, lambda: ready([os.getpid()]), limits=limits)
        else:
            from otagate.server.transport.supervisor import Supervisor  # noqa: PLC0415 - one worker needs none

            Supervisor(options, make_app, listening, ready, limits).run()
    finally:
        listening.close()
        _forget(options.ready_file)


def run_here(
    options: RunOptions,
    make_app: MakeApp,
    listening: socket.socket,
    on_ready: Callable[[], None],
    *,
    limits: Limits | None = None,
    parent: int | None = None,
) -> None:
    """Serve in this process; see Worker."""
    from otagate.server.transport.worker import Worker  # noqa: PLC0415 - needs the extra

    # The thread that commits computes; with Python's 5 ms every answer could wait as long for it at each of its system calls.
    sys.setswitchinterval(_SWITCH_S)
    app: App = make_app()
    worker = Worker(options, app, listening, limits=limits, parent=parent)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(worker.run(on_ready))


def check_installed() -> None:
    """Tell whether the extra is there.

    Raises:
        UsageError: It is not.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError("the update server is not installed", ", ".join(missing), remedy="pip install 'otagate[server]'")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None  # slower, and otherwise the same
    import uvloop  # noqa: PLC0415 - heavy

    return uvloop.new_event_loop


def _check_tls(options: RunOptions, warn: Callable[..., None]) -> str | None:
    """Find faults of the files before anything is opened; give the pin."""
    if options.tls_cert is None:
        return None
    tls = Tls(options.tls_cert, options.tls_key)
    for text in tls.warnings():
        warn("tls_key_readable", extra={"detail": text})
    return tls.pin()


def _forget(path: Path | None) -> None:
    if path is not None:
        remove_ready(path)
