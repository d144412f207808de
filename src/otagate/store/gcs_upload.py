"""A resumable upload of Cloud Storage: chunk after chunk to an address that stands for the upload.

**Source:** Cloud Storage, "Perform resumable uploads". The address is as good as a key for this one object: it is never shown.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus

import google_crc32c
from requests import Response

from otagate.store.gcs_wire import Wire
from otagate.store.objects import BrokenRequestError, MissingObjectError, NoBucketError, TransientError

CHUNK_BYTES = 8 * 1024 * 1024
"""Of all chunks but the last. **Source:** as above: a multiple of 256 KiB, and 8 MiB at least is advised."""
_CANCELLED = 499
"""**Source:** as above, "Cancel a resumable upload"."""


def crc32c(data: bytes, before: int = 0) -> int:
    """Give the CRC32C of ``data``, or of what ``before`` is the CRC32C of, followed by ``data``."""
    return int(google_crc32c.extend(before, data))


def checksum(crc: int) -> str:
    """Write a CRC32C as the service does: base64 of its four bytes, the highest first."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


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
        self._crc = 0
        self.size = size
        self.sent = 0

    def checksum(self) -> str:
        """Give the CRC32C of what was sent, as the service writes it."""
        return checksum(self._crc)

    def send(self, chunk: bytes) -> Response | None:
        """Send the next bytes; give the service's answer when they were the last ones, which makes the object.

        Raises:
            BrokenRequestError: The bytes are not as many as announced. Nothing was sent then.
            TransientError: Also when the service has forgotten the upload: it must begin anew.
        """
        end = self.sent + len(chunk)
        if end > self.size or (len(chunk) != CHUNK_BYTES and end < self.size):
            raise BrokenRequestError(f"{'more than' if end > self.size else end} {self.size} bytes came")
        self._crc = crc32c(chunk, self._crc)
        left = memoryview(chunk)
        while True:
            answer = self._put(bytes(left))
            if answer.status_code != HTTPStatus.PERMANENT_REDIRECT:
                if end != self.size:
                    raise TransientError("the service ended the upload early")
                self.sent = end
                return answer
            kept = _kept(answer)
            if not self.sent < kept <= end or (kept == end == self.size):
                raise TransientError("the service keeps none of what was sent")
            left = left[kept - self.sent :]
            self.sent = kept
            if not left:
                return None

    def _put(self, data: bytes) -> Response:
        end = self.sent + len(data)
        headers = {"Content-Range": f"bytes {self.sent}-{end - 1}/{self.size}"}
        if end == self.size:
            # Compared before the object appears.
            headers["X-Goog-Hash"] = f"crc32c={self.checksum()}"
        try:
            return self._wire.request(
                "PUT",
                self._url,
                self._permission,
                of_object=True,
                accept=(HTTPStatus.PERMANENT_REDIRECT,),
                data=data,
                headers=headers,
            )
        except (MissingObjectError, NoBucketError) as error:
            raise TransientError(error.reason) from None

    def cancel(self) -> None:
        """Tell the service to forget the upload; fine when it has ended."""
        self._wire.request("DELETE", self._url, self._permission, of_object=True, accept=(_CANCELLED,))


def _kept(answer: Response) -> int:
    """Give how many bytes the service says that it keeps."""
    told = re.fullmatch(r"bytes=0-(\d{1,18})", answer.headers.get("Range", ""), re.ASCII)
    return int(told.group(1)) + 1 if told else 0
