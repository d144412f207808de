"""Ctrl-C during an upload: it ends soon, also when the service says nothing, and takes back what it sent."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from integration.test_killed_uploads import Bench
from otagate.store.objects import Headers
from support import buckets
from support.servers.wire import Respond, answering

pytestmark = pytest.mark.integration
SECONDS = 100


def silent_to_writers(begun: threading.Event, over: threading.Event) -> Respond:
    def respond(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        if handler.command in {"GET", "HEAD"}:
            handler.send_response(404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        begun.set()
        over.wait(250)

    return respond


@pytest.mark.parametrize(
    ("url", "environ"),
    [
        ("s3://acme-updates?endpoint={}", {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}),
        ("az://updates?account=acme&endpoint={}", {"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}),
        ("gs://acme-updates?endpoint={}", {}),
    ],
)
def test_an_upload_to_a_service_that_says_nothing_ends_when_it_is_told_to(
    url: str, environ: dict[str, str], tmp_path: Path
) -> None:
    begun, over = threading.Event(), threading.Event()
    with answering(silent_to_writers(begun, over)) as server:
        bench = Bench(tmp_path, buckets.Bucket(url.format(server.base), environ, ""))
        policy = bench.project.folder / "otagate.yml"
        policy.write_text(policy.read_text() + "documents: file:../documents\n")
        bench.next(1)
        process = bench.start("upload")
        try:
            assert begun.wait(100)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 130, err
            assert b"Traceback" not in err
        finally:
            over.set()
            process.kill()
            process.communicate()


def test_what_was_sent_is_taken_back() -> None:
    bucket = buckets.ADAPTERS["s3 on SeaweedFS"]()
    objects = bucket.open()

    def pieces() -> Iterator[bytes]:
        for number in range(64):
            if number == 40:
                signal.raise_signal(signal.SIGINT)
                time.sleep(1)
            yield bytes(1024 * 1024)

    with pytest.raises(KeyboardInterrupt):
        objects.upload(
            f"{bucket.prefix}k", pieces(), 64 * 1024 * 1024, Headers("application/zip", "no-cache"), lambda _done, _total: None
        )
    assert objects.head(f"{bucket.prefix}k") is None
    assert objects.abort_unfinished(bucket.prefix, datetime.now(UTC) + timedelta(minutes=1)) == 0
