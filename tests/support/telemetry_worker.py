"""Processes at a telemetry database that can be killed at any instant; started by support/telemetry_processes.py.

Reads one JSON command a line and forks for each: what is slow to load is loaded once. ``write`` sends numbered observations
through an intake from many clients at once, and appends each one's number to a file when it is acknowledged: what stands there
was promised. ``migrate`` brings a database to the last of a folder's steps.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import alembic.autogenerate
import alembic.command  # noqa: F401

from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.intake import ThreadIntake
from otagate.telemetry.migrate import migrate
from otagate.telemetry.model import Mark
from otagate.telemetry.sql import open_telemetry
from support.devices_told import told

CLIENTS = 40
RELEASES = ("1.0.0", "1.1.0", "1.2.0")
MARKS = (Mark.OFFERED, Mark.STARTED, Mark.READY, Mark.NETWORK, Mark.CRASHED, Mark.BOOT)
_EACH = 4


def deed(number: int) -> tuple[int, str, Mark]:
    """Give what the observation of that number is about: device, release, mark. No two are the same."""
    device, rest = divmod(number, len(RELEASES) * _EACH)
    return device, RELEASES[rest % len(RELEASES)], MARKS[(rest // len(RELEASES) + device) % len(MARKS)]


async def _write(command: Mapping[str, Any]) -> None:
    telemetry = open_telemetry(command["url"], {})
    intake = ThreadIntake(telemetry)
    intake.start()
    out = os.open(command["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    numbers = iter(range(command["first"], command["end"]))

    async def client() -> None:
        for number in numbers:
            device, release, mark = deed(number)
            await intake.durable([told(mark, device, release=release, running=release)])
            os.write(out, f"{number}\n".encode())

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await asyncio.to_thread(intake.stop)
    telemetry.close()


def _migrate(command: Mapping[str, Any]) -> None:
    engines = Engines(place_of(command["url"], {}, Path()))
    migrate(engines, Path(command["steps"]))
    engines.close()


def _child(command: Mapping[str, Any]) -> None:
    code = 1
    try:
        if command["deed"] == "write":
            asyncio.run(_write(command))
        else:
            _migrate(command)
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    running = set()
    for line in sys.stdin:
        command = json.loads(line)
        if command["deed"] == "wait":
            _, status = os.waitpid(command["pid"], 0)
            running.discard(command["pid"])
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                _child(command)
            running.add(answer)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
