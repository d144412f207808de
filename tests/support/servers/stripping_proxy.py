"""A proxy on loopback that takes the conditions out of requests: what an S3 service looks like that ignores them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

CONDITIONS = frozenset({"if-match", "if-none-match", "x-goog-if-generation-match"})


@contextmanager
def stripping(target: str, stripped: frozenset[str] = CONDITIONS) -> Iterator[str]:
    """Run a proxy to the base URL ``target`` until the ``with`` body ends; gives its own base URL."""
    with httpx.Client(base_url=target, timeout=60) as client:

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                self.close_connection = True
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                away = {"host", "connection", "content-length", *stripped}
                sent = {name: value for name, value in self.headers.items() if name.lower() not in away}
                got = client.request(self.command, self.path, headers=sent, content=body)
                self.send_response(got.status_code)
                for name, value in got.headers.items():
                    if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(got.content)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
