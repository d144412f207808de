from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from otagate._watch import Watch


class Stream:
    def __init__(self, near: socket.socket) -> None:
        self._near = near

    def get_extra_info(self, name: str) -> Any:
        return self._near if name == "socket" else None


def test_it_ends_what_does_not_end() -> None:
    near, far = socket.socketpair()
    watch = Watch(0.01)
    with near, far, watch.running():
        watch.trace("connection.connect_tcp.complete", {"return_value": Stream(near)})
        assert near.recv(1) == b""  # nothing was sent: without the watch it would wait for ever
    assert watch.has_ended


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("connection.connect_tcp", "connection.start_tls"),
        ("connection.connect_tcp", "proxy.start_tls"),
        ("socks.connect_tcp", "socks.start_tls"),
    ],
)
def test_it_takes_the_socket_of_the_newest_connection(before: str, after: str) -> None:
    """Those through a proxy tell of themselves by other names."""
    (first, far_first), (second, far_second) = socket.socketpair(), socket.socketpair()
    watch = Watch(60)
    watch.trace(f"{before}.complete", {"return_value": Stream(first)})
    watch.trace(f"{after}.complete", {"return_value": Stream(second)})
    with first, second, far_first, far_second:
        watch._end()
        far_first.send(b"x")
        assert first.recv(1) == b"x"
        second.setblocking(False)
        assert second.recv(1) == b""
        assert watch.has_ended


def test_what_ends_in_time_is_left_alone() -> None:
    near, far = socket.socketpair()
    watch = Watch(60)
    before = threading.active_count()
    with near, far:
        with watch.running():
            watch.trace("http11.send_request_headers.complete", {"return_value": None})
            watch.trace("connection.connect_tcp.complete", {"return_value": Stream(near)})
        far.send(b"x")
        assert near.recv(1) == b"x"
    assert not watch.has_ended
    assert threading.active_count() <= before


def no_connection(_watch: Watch) -> None:
    """No trace comes before the end."""


def closed_already(watch: Watch) -> None:
    near, far = socket.socketpair()
    far.close()
    near.close()
    watch.trace("connection.connect_tcp.complete", {"return_value": Stream(near)})


@pytest.mark.parametrize("before", [no_connection, closed_already])
def test_there_may_be_nothing_to_end(before: Callable[[Watch], None]) -> None:
    watch = Watch(60)
    before(watch)
    watch._end()
    assert watch.has_ended
