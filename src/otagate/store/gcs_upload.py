"""A resumable upload of Cloud Storage: chunk after chunk to an address that stands for the upload.

**Source:** Cloud Storage, "Perform resumable uploads". The address is as good as a key for this one object: it is never shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

import httpx

from otagate.store.gcs_wire import Wire
from otagate.store.objects import BrokenRequestError, TransientError

CHUNK_BYTES = 8 * 1024 * 1024
"""Of all chunks but the last. **Source:** as above: a multiple of 256 KiB, and 8 MiB at least is advised."""
_CANCELLED = 499
"""**Source:** as above, "Cancel a resumable upload"."""


def md5_text(data: bytes) -> str:
    """Write the MD5 of bytes as the service does: base64. It guards against accidents on the way; a blob has its SHA-256."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Regroup pieces into chunks. The last one comes only after ``pieces`` ended: it is what makes the object appear."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) > CHUNK_BYTES:
            yield bytes(memoryview(held)[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    yield bytes(held)


class Session:
    """One upload of ``size`` bytes; ``sent`` of them are with the service."""

    def __init__(self, wire: Wire, url: str, size: int, permission: str) -> None:
        self._wire, self._url, self._permission = wire, url, permission
        self._hasher = hashlib.md5(usedforsecurity=False)
        self.size = size
        self.sent = 0

    @property
    def md5(self) -> str:
        """The MD5 of what was given to be sent, as the service writes it."""
        return base64.b64encode(self._hasher.digest()).decode()

    def send(self, chunk: bytes) -> httpx.Response | None:
        """Send the next bytes; give the service's answer when they were the last ones, which makes the object.

        Raises:
            BrokenRequestError: The bytes are not as many as announced. Nothing was sent then.
            TransientError: Also when the service has forgotten the upload: it must begin anew.
        """
        end = self.sent + len(chunk)
        if end > self.size or (len(chunk) != CHUNK_BYTES and end < self.size):
            raise BrokenRequestError(f"{'more' if end > self.size else end} bytes came instead of {self.size}")
        self._hasher.update(chunk)
        while self.sent < end:
            answer = self._put(chunk[len(chunk) - (end - self.sent) :])
            if answer.status_code != HTTPStatus.PERMANENT_REDIRECT:
                if end != self.size:
                    raise TransientError("the service ended the upload early")
                self.sent = end
                return answer
            kept = _kept(answer)
            if not self.sent < kept <= end or kept == self.size:
                raise TransientError("the service says that it keeps what it cannot")
            self.sent = kept
        return None

    def _put(self, data: bytes) -> httpx.Response:
        end = self.sent + len(data)
        headers = {"Content-Range": f"bytes {self.sent}-{end - 1}/{self.size}"}
        if end == self.size:
            # Compared before the object appears.
            headers["X-Goog-Hash"] = f"md5={self.md5}"
        accept = (HTTPStatus.PERMANENT_REDIRECT, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
        answer = self._wire.request(
            "PUT", self._url, self._permission, of_object=True, accept=accept, data=data, headers=headers
        )
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise TransientError(f"{answer.status_code} the service has forgotten the upload")
        return answer

    def cancel(self) -> None:
        """Tell the service to forget the upload; fine when it has ended."""
        self._wire.request("DELETE", self._url, self._permission, of_object=True, accept=(_CANCELLED,))


def _kept(answer: httpx.Response) -> int:
    """Give how many bytes the service says that it keeps."""
    told = re.fullmatch(r"bytes=0-(\d{1,18})", answer.headers.get("Range", ""), re.ASCII)
    return int(told.group(1)) + 1 if told else 0
