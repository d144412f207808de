"""Python imports this by itself when its folder is on PYTHONPATH: the process kills itself just before it changes the store.

``OTAGATE_TEST_KILL_AT``: before which change, from 1 on; 0: never. ``OTAGATE_TEST_KILL_COUNT``: a file that gets, at the end, how many
changes there were. A change is a file below a folder ``store`` that is opened for writing, linked, renamed or removed.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path

_AT = int(os.environ.get("OTAGATE_TEST_KILL_AT", "0"))
_COUNT = os.environ.get("OTAGATE_TEST_KILL_COUNT", "")
_WRITES = os.O_WRONLY | os.O_RDWR
_changes: list[str] = []


def _is_change(event: str, args: tuple[object, ...]) -> bool:
    if event == "open":
        flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
        return bool(flags & _WRITES) and _is_below_store(args[0])
    if event in {"os.link", "os.rename"}:
        return _is_below_store(args[1])
    return event == "os.remove" and _is_below_store(args[0])


def _is_below_store(path: object) -> bool:
    return isinstance(path, str | bytes | os.PathLike) and f"{os.sep}store{os.sep}" in os.fsdecode(path)


def _hear(event: str, args: tuple[object, ...]) -> None:
    if not _is_change(event, args):
        return
    _changes.append(event)
    if len(_changes) == _AT:
        os.kill(os.getpid(), signal.SIGKILL)


if _AT or _COUNT:
    sys.addaudithook(_hear)
if _COUNT:
    atexit.register(lambda: Path(_COUNT).write_text(str(len(_changes))))
