"""A proxy on loopback that passes requests on to a real server, and does to some of them what a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came; the body is empty where it was cut off before it was read."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer this instead of passing the request on."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lose:
    """Pass the request on, and close the connection after so many bytes of the answer's body; None: before its first line."""

    after: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Close the connection after so many bytes of the request's body, and pass nothing on."""

    after: int = 0


Meddle = Callable[[str, str], Answer | Lose | Refuse | None]
"""Says what to do with a request, by its method and path; None: pass it on."""


@dataclass
class Proxy:
    """The proxy's address, what it has seen, and what it does."""

    base: str
    meddle: Meddle
    seen: list[Seen] = field(default_factory=list)

    def once(self, method: str, part: str, what: Answer | Lose | Refuse) -> None:
        """Meddle with the first request of that method whose path holds ``part``, and with no other."""
        left, lock = [what], threading.Lock()

        def meddle(found: str, path: str) -> Answer | Lose | Refuse | None:
            with lock:
                return left.pop() if left and found == method and part in path else None

        self.meddle = meddle


@contextmanager
def meddling(target: str) -> Iterator[Proxy]:
    """Run a proxy to the base URL ``target`` until the ``with`` body ends."""
    with httpx.Client(base_url=target, timeout=60, verify=False) as client:

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                self.close_connection = True
                headers = {name.lower(): value for name, value in self.headers.items()}
                what = proxy.meddle(self.command, self.path)
                length = int(headers.get("content-length", "0"))
                body = self.rfile.read(what.after if isinstance(what, Refuse) else length)
                proxy.seen.append(Seen(self.command, self.path, headers, body))
                if isinstance(what, Refuse):
                    return
                self.answer(what, what if isinstance(what, Answer) else self.passed_on(headers, body))

            def passed_on(self, headers: dict[str, str], body: bytes) -> Answer:
                sent = {name: value for name, value in headers.items() if name not in {"host", "connection"}}
                got = client.request(self.command, self.path, headers=sent, content=body)
                # The service names itself in the address of an upload: the rest of it shall come this way, too.
                told = {name: value.replace(target, proxy.base) for name, value in got.headers.items()}
                return Answer(got.status_code, got.content, told)

            def answer(self, what: Answer | Lose | Refuse | None, answer: Answer) -> None:
                if isinstance(what, Lose) and what.after is None:
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection", "date"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: what.after] if isinstance(what, Lose) else answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that left is no news."""

        server = Server(("127.0.0.1", 0), Handler)
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", lambda _method, _path: None)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
