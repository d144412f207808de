"""What goes wrong between us and a store: a server that answers as a test tells it, and a proxy that meddles with bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Respond = Callable[[BaseHTTPRequestHandler, bytes], None]
Meddle = Callable[[bytes], bytes]


class Server:
    """A fake service. ``requests`` are the methods and paths that came, in order."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.requests: list[tuple[str, str]] = []


@contextmanager
def answering(respond: Respond) -> Iterator[Server]:
    """Serve until the ``with`` body ends; ``respond`` gets each request and its body."""
    seen: list[Server] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            seen[0].requests.append((self.command, self.path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                respond(self, body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients hang up here."""

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.append(Server(f"http://127.0.0.1:{server.server_port}"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield seen[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answer; underscores in header names become dashes."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """Close the connection at once, both ways."""
    request.close_connection = True
    request.wfile.flush()
    with contextlib.suppress(OSError):
        request.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def meddling(base: str, sent: Meddle) -> Iterator[str]:
    """Stand between a client and the server at ``base``; each piece that the client sends goes through ``sent``."""
    target = urlsplit(base)
    listener = socket.create_server(("127.0.0.1", 0))
    open_connections: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket, change: Meddle) -> None:
        try:
            while piece := source.recv(65_536):
                sink.sendall(change(piece))
        except OSError:
            return  # one of the two hung up: the other end is told below
        finally:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def connect(client: socket.socket) -> None:
        with client, socket.create_connection((target.hostname, target.port)) as server:
            back = threading.Thread(target=pump, args=(server, client, bytes), daemon=True)
            back.start()
            pump(client, server, sent)
            back.join()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            open_connections.append(client)
            threading.Thread(target=connect, args=(client,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield base.replace(f":{target.port}", f":{listener.getsockname()[1]}")
    finally:
        # Closing alone wakes nobody who waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for client in open_connections:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
