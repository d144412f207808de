"""moto's server, one request after the other: ``python moto_in_turn.py HOST PORT``.

As it comes, moto answers requests side by side and checks a condition and writes in two steps, so that two writers may both be
told that they won. Amazon S3 does both in one step; with a lock around each request moto does, too. (The probe finds the hole
of the unlocked one, now and then: tests/unit/store/test_probe.py has a store with just that hole.)
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any


def main(host: str, port: int) -> None:
    os.environ["MOTO_PORT"] = str(port)  # moto asks for it where it names itself
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    served, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def in_turn(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The body first: a client that never sends the rest of it must not keep the others waiting.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with turn:
            return list(served(environ, start_response))

    run_simple(host, port, in_turn, threaded=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
