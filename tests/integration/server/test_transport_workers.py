"""Beginning and end of a server: workers, signals, and what becomes of requests meanwhile."""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.server.transport.listener import _cannot_listen, bind
from otagate.server.transport.options import RunOptions
from otagate.server.transport.runner import serve
from otagate.server.transport.worker import Worker
from support.loggers import restored
from support.transport_app import Running, hear, launch, make, running, wait_for

pytestmark = pytest.mark.integration
GET = b"GET /slow?0.02 HTTP/1.1\r\nHost: a\r\n\r\n"
HELD = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n"


class Load:
    """Clients that ask over and over, on connections that are kept, and count answers."""

    def __init__(self, server: Running, clients: int) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self.refused = 0
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while True:
            try:
                line = self._server.connect()
            except OSError:
                self.refused += 1
                return
            with line:
                if not self._converse(line):
                    continue

    def _converse(self, line: socket.socket) -> bool:
        while True:
            try:
                line.sendall(GET)
                answer = line.recv(65_536)
            except OSError as error:
                self.lost.append(repr(error))
                return False
            if not answer.startswith(b"HTTP/1.1 200"):
                self.lost.append(repr(answer[:50]))
                return False
            self.answered += 1
            if b"connection: close" in answer:
                return True


@pytest.mark.parametrize("workers", [1, 2])
def test_a_drain_under_load_loses_no_request(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as server:
        load = Load(server, 12)
        wait_for(lambda: load.answered > 100)
        assert server.end() == 0
        load.join()
        assert load.lost == []
        assert load.refused == 12
        assert not (tmp_path / "ready.json").exists()
        assert sorted(map(int, (tmp_path / "stopped").read_text().split())) == sorted(server.workers)
        log = server.log.read_text()
        assert f"otagate: serving http://127.0.0.1:{server.port}" in log
        assert "Traceback" not in log


def test_a_killed_worker_comes_back_and_the_other_serves_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path, workers=2, log_format="json") as server:
        assert len(server.workers) == 2
        os.kill(server.workers[0], signal.SIGKILL)
        for _ in range(20):
            assert server.get("/")["pid"] in {server.workers[1], *_children(server)}
        new = wait_for(lambda: _children(server) - set(server.workers))
        assert wait_for(lambda: server.get("/")["pid"] in new)
        died = next(json.loads(line) for line in server.log.read_text().splitlines() if "worker_died" in line)
        assert (died["worker"], died["exit_code"], died["after_s"]) == (1, -9, 0.25)
        os.kill(server.workers[1], signal.SIGTERM)  # one that is asked to end is started again at once
        wait_for(lambda: len(_children(server) - set(server.workers)) == 2)
        assert server.end(signal.SIGINT) == 0
        assert "worker_started" in server.log.read_text()


def _children(server: Running) -> set[int]:
    found = psutil.Process(server.process.pid).children()
    return {child.pid for child in found if "spawn_main" in " ".join(_command(child))}


def _command(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def test_a_request_that_kills_its_worker_does_not_kill_the_server(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        assert server.ask(b"GET /die HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        assert server.get("/")["size"] == 0
        assert server.end() == 0


def test_workers_end_when_the_process_above_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        server.end(signal.SIGKILL)
        wait_for(lambda: len((tmp_path / "stopped").read_text().split()) == 2 if (tmp_path / "stopped").exists() else False)
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in server.workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_at_once(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers, drain_s=60) as server, server.connect() as line:
        line.sendall(HELD)
        wait_for(server.held)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in server.log.read_text())
        assert server.process.poll() is None
        began = time.monotonic()
        assert server.end() == 130
        assert time.monotonic() - began < 40  # the drain's end is a minute away
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in server.workers))


def test_a_request_that_does_not_end_is_cut_after_the_deadline(tmp_path: Path) -> None:
    with running(tmp_path, drain_s=0.5) as server, server.connect() as line, server.connect() as half:
        line.sendall(HELD)
        half.sendall(b"GET /")
        wait_for(server.held)
        assert server.end() == 0
        assert hear(line) == b""
        assert "drain_too_long" in server.log.read_text()


def test_an_app_that_does_not_end_is_no_clean_end(tmp_path: Path) -> None:
    (tmp_path / "hang").touch()
    with running(tmp_path, limits={"stop_s": 0.3}) as server:
        assert server.end() == 7
        assert "stop_too_long" in server.log.read_text()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("obstacle", "said"), [("refuse", "the database does not answer"), ("crash", "")])
def test_a_server_that_cannot_start_says_why_and_ends(tmp_path: Path, workers: int, obstacle: str, said: str) -> None:
    (tmp_path / obstacle).touch()
    process = launch(tmp_path, workers=workers)
    assert process.wait(60) != 0
    text = (tmp_path / "log").read_text()
    assert said in text
    assert not (tmp_path / "ready.json").exists()
    if obstacle == "crash" and workers == 2:
        assert "a worker died before it could serve" in text


def test_a_worker_that_cannot_start_again_is_tried_again(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        (tmp_path / "refuse").touch()
        os.kill(server.workers[0], signal.SIGKILL)
        wait_for(lambda: "the database does not answer" in server.log.read_text())
        assert server.get("/")["pid"] == server.workers[1]
        (tmp_path / "refuse").unlink()
        wait_for(lambda: "worker_started" in server.log.read_text())
        assert server.end() == 0


def test_a_port_that_is_taken_is_a_message(tmp_path: Path) -> None:
    with (
        restored(),
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="cannot listen") as caught,
    ):
        serve(RunOptions(port=taken.getsockname()[1]), functools.partial(make, tmp_path))
    assert "--port" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "said"), [("nowhere.invalid", "no such address"), ("192.0.2.77", "cannot listen"), ("a" * 300, "no such address")]
)
def test_an_address_that_is_not_here_is_a_message(host: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bind(host, 0)


def test_both_kinds_of_addresses_are_listened_on() -> None:
    with bind("::", 0) as listening, socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as line:
        assert line.getpeername()[1] == listening.getsockname()[1]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EACCES, AccessError), (errno.EADDRNOTAVAIL, UsageError), (errno.ENOBUFS, UnavailableError)]
)
def test_why_it_cannot_be_listened_on_is_told_apart(number: int, kind: type[OtagateError]) -> None:
    assert type(_cannot_listen(OSError(number, "x"), "a:1")) is kind


def test_file_handles_run_out_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        process = psutil.Process(server.process.pid)
        _, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 5, hard))
        lines = [server.connect() for _ in range(12)]
        time.sleep(0.3)
        assert process.is_running()
        for line in lines:
            line.close()
        assert wait_for(lambda: server.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))[:12] == b"HTTP/1.1 200"
        assert server.end() == 0


def test_it_serves_on_the_loop_of_the_standard_library_too(tmp_path: Path) -> None:
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]

    async def talk() -> bytes:
        worker = Worker(RunOptions(), make(tmp_path), listening)
        ready = asyncio.Event()
        serving = asyncio.create_task(worker.run(ready.set))
        await ready.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        answer = await reader.readuntil(b"}")
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        worker.stop()
        await serving
        writer.close()
        idle.close()
        assert worker.traffic.connections == 0
        return answer

    with restored():
        assert asyncio.run(talk()).startswith(b"HTTP/1.1 200")
    assert (tmp_path / "stopped").exists()
