"""One bucket of Google Cloud Storage, over the JSON API.

What is small goes through google-cloud-storage: looking, listing, deleting, opening an upload, signing. The bytes go through
its session directly (gcs_wire.py), because the library cannot give a download piece by piece, writes documents above 8 MiB in
several requests, and cannot take an upload back. Conditions are generations: numbers that never return, even when bytes do.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote, urlencode

from google.api_core.client_info import ClientInfo
from google.auth.credentials import Signing
from google.cloud.storage import Blob, Client  # type: ignore[import-untyped]
from requests import Response

from otagate.store.gcs_errors import translated
from otagate.store.gcs_upload import CHUNK_BYTES, Session, checksum, chunked, crc32c
from otagate.store.gcs_wire import TIMEOUT, Wire
from otagate.store.interface import OnProgress
from otagate.store.objects import (
    Absent,
    BrokenRequestError,
    Condition,
    Head,
    Headers,
    MissingObjectError,
    ObjectError,
    RefusedError,
    TransientError,
    Unchanged,
    UnsupportedError,
)

GET, CREATE = "storage.objects.get", "storage.objects.create"
DELETE, LIST = "storage.objects.delete", "storage.objects.list"
_FIELDS = "items(name,size,generation,updated,contentType,cacheControl),nextPageToken"
_PIECE_BYTES = 1024 * 1024
_GENERATION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_LONGEST_SIGNED = timedelta(days=7)
"""**Source:** Cloud Storage, "V4 signing process": ``X-Goog-Expires`` is at most 604800."""


class GoogleObjects:
    """See Objects."""

    def __init__(self, wire: Wire, endpoint: str, bucket: str, where: str, signer: Callable[[], Signing] | None = None) -> None:
        """Use a bucket; ``signer`` gives who signs addresses."""
        self.where = where
        self._wire, self._endpoint, self._signer = wire, endpoint, signer
        # The endpoint is always given: without it the library obeys STORAGE_EMULATOR_HOST.
        self._client = Client(
            project=None,
            credentials=wire.credentials,
            _http=wire.session,
            client_options={"api_endpoint": endpoint},
            client_info=ClientInfo(user_agent="otagate"),  # type: ignore[no-untyped-call]
        )
        self._bucket = self._client.bucket(bucket)

    def head(self, key: str) -> Head | None:
        """See Objects.head."""
        blob: Blob = self._bucket.blob(key)
        try:
            with translated(GET, of_object=True):
                blob.reload(projection="noAcl", timeout=TIMEOUT, retry=None)
        except MissingObjectError:
            return None
        return _head(blob)

    def read(self, key: str, limit: int) -> tuple[bytes, Head] | None:
        """See Objects.read. Bytes and generation come in one answer."""
        try:
            response = self._download(key, 0)
        except MissingObjectError:
            return None
        body = bytearray()
        with response:
            for piece in _pieces(response):
                body += piece
                if len(body) > limit:
                    return bytes(body[: limit + 1]), _told(key, response)
        return bytes(body), _told(key, response)

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """See Objects.stream."""
        response = self._download(key, start)
        with response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise BrokenRequestError("the answer does not begin where it was asked to")
            yield from _pieces(response)

    def _download(self, key: str, start: int) -> Response:
        # identity: what is stored compressed would otherwise come unpacked, and its length would say nothing.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        accept = (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,) if start else ()
        url = f"{self._endpoint}/download/storage/v1/b/{self._bucket.name}/o/{quote(key, safe='')}?alt=media"
        return self._wire.request("GET", url, GET, of_object=True, accept=accept, headers=headers, stream=True)

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        """See Objects.put."""
        generation = "0" if isinstance(condition, Absent) else condition.token
        if isinstance(condition, Unchanged) and not _GENERATION.fullmatch(generation):
            # Another store's token; and 0 would mean that there is no object yet.
            raise RefusedError("this token is no generation")
        return self._multipart(key, body, headers, {"ifGenerationMatch": generation})

    def _multipart(self, key: str, body: bytes, headers: Headers, conditions: dict[str, str]) -> str:
        """Write an object in one request and give its generation; the service compares the CRC32C before it keeps anything.

        **Source:** Cloud Storage, JSON API, ``uploadType=multipart``; RFC 2387. Never ``uploadType=media``, which has no place
        for the headers and the checksum.
        """
        described = json.dumps(
            {
                "name": key,
                "contentType": headers.content_type,
                "cacheControl": headers.cache_control,
                "crc32c": checksum(crc32c(body)),
            }
        )
        edge = secrets.token_hex(16)
        whole = b"".join(
            (
                f"--{edge}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{described}\r\n".encode(),
                f"--{edge}\r\nContent-Type: {headers.content_type}\r\n\r\n".encode(),
                body,
                f"\r\n--{edge}--\r\n".encode(),
            )
        )
        answer = self._wire.request(
            "POST",
            f"{self._endpoint}/upload/storage/v1/b/{self._bucket.name}/o?"
            + urlencode({"uploadType": "multipart", **conditions}),
            CREATE,
            of_object=False,
            data=whole,
            headers={"Content-Type": f"multipart/related; boundary={edge}"},
        )
        return _written(answer)["generation"]

    def upload(self, key: str, pieces: Iterable[bytes], size: int, headers: Headers, on_progress: OnProgress) -> None:
        """See Objects.upload.

        Up to 8 MiB go in one request, more in a resumable session, a chunk at a time: the service takes no two chunks of a
        session at once. It shows nothing before the last chunk, which is sent only when ``pieces`` has ended well.
        """
        if size <= CHUNK_BYTES:
            body = b"".join(pieces)
            if len(body) != size:
                raise BrokenRequestError(f"{len(body)} bytes came instead of {size}")
            self._multipart(key, body, headers, {})
            on_progress(size, size)
            return
        session = self._session(key, size, headers)
        try:
            answer = self._send(session, pieces, on_progress)
            self._compare(key, answer, session.checksum())
        except BaseException:
            # Also for Ctrl-C. What cannot be cancelled now expires by itself after a week, unseen and unbilled.
            with contextlib.suppress(ObjectError):
                session.cancel()
            raise

    def _session(self, key: str, size: int, headers: Headers) -> Session:
        blob = self._bucket.blob(key)
        blob.content_type, blob.cache_control = headers.content_type, headers.cache_control
        with translated(CREATE, of_object=False):
            url = blob.create_resumable_upload_session(
                content_type=headers.content_type, size=size, timeout=TIMEOUT, checksum=None, retry=None
            )
        return Session(self._wire, url, size, CREATE)

    def _send(self, session: Session, pieces: Iterable[bytes], on_progress: OnProgress) -> dict[str, str]:
        for chunk in chunked(pieces):
            answer = session.send(chunk)
            on_progress(session.sent, session.size)
            if answer is not None:
                return _written(answer)
        raise BrokenRequestError(f"{session.sent} bytes came instead of {session.size}")

    def _compare(self, key: str, written: dict[str, str], checksum: str) -> None:
        """Hold what the service stored against what was sent; take it back when it differs."""
        if written.get("crc32c", checksum) == checksum:
            return
        with translated(DELETE, of_object=True):
            self._bucket.blob(key).delete(if_generation_match=int(written["generation"]), timeout=TIMEOUT, retry=None)
        raise TransientError("the stored bytes are not the sent ones")

    def delete(self, key: str) -> None:
        """See Objects.delete."""
        with contextlib.suppress(MissingObjectError), translated(DELETE, of_object=True):
            self._bucket.blob(key).delete(timeout=TIMEOUT, retry=None)

    def list(self, prefix: str) -> Iterator[Head]:
        """See Objects.list."""
        with translated(LIST, of_object=False):
            blobs = iter(self._client.list_blobs(self._bucket, prefix=prefix, fields=_FIELDS, timeout=TIMEOUT, retry=None))
        while True:
            with translated(LIST, of_object=False):
                blob = next(blobs, None)
            if blob is None:
                return
            yield _head(blob)

    def sign(self, key: str, lifetime: timedelta) -> str:
        """See Objects.sign."""
        if self._signer is None:
            raise UnsupportedError(
                "an access token cannot sign: say service_account=NAME@PROJECT.iam.gserviceaccount.com in the store's URL, and "
                "grant the caller roles/iam.serviceAccountTokenCreator on that account"
            )
        if lifetime > _LONGEST_SIGNED:
            raise UnsupportedError("Google signs addresses for at most 7 days")
        address: str = self._bucket.blob(key).generate_signed_url(
            version="v4",
            method="GET",
            expiration=lifetime,
            api_access_endpoint=self._endpoint,
            credentials=self._signer(),
        )
        return address

    def address(self, key: str) -> str:
        """See Objects.address."""
        return f"{self._endpoint}/{self._bucket.name}/{quote(key)}"

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """See Objects.abort_unfinished: 0, for sessions cannot be listed, cost nothing and expire after a week."""
        return 0


def _head(blob: Blob) -> Head:
    return Head(blob.name, int(blob.size), str(blob.generation), blob.updated, blob.content_type, blob.cache_control)


def _told(key: str, response: Response) -> Head:
    """Give what a download's headers tell of the object."""
    headers = response.headers
    generation = headers.get("x-goog-generation", "")
    if not generation.isdigit():
        raise BrokenRequestError("the answer names no generation")
    try:
        modified = email.utils.parsedate_to_datetime(headers.get("Last-Modified", "")).astimezone(UTC)
        size = int(headers["Content-Length"])
    except (ValueError, KeyError):
        raise BrokenRequestError("the answer tells neither date nor size") from None
    return Head(key, size, generation, modified, headers.get("Content-Type"), headers.get("Cache-Control"))


def _pieces(response: Response) -> Iterator[bytes]:
    """Give a body piece by piece, and fail when it ends before its announced length."""
    expected, seen = response.headers.get("Content-Length"), 0
    pieces = response.iter_content(_PIECE_BYTES)
    while True:
        with translated(GET, of_object=True):
            piece = next(pieces, None)
        if piece is None:
            break
        seen += len(piece)
        yield piece
    if expected is not None and seen != int(expected):
        raise TransientError("the answer was cut")


def _written(answer: Response) -> dict[str, str]:
    """Give the object that an upload's answer describes."""
    with translated(CREATE, of_object=False):
        described = answer.json()
    if not isinstance(described, dict) or not str(described.get("generation", "")).isdigit():
        raise TransientError("the answer names no generation")
    return {name: str(value) for name, value in described.items()}
