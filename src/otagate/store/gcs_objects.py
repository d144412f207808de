"""One bucket of Google Cloud Storage, over the JSON API and nothing else.

Conditions are generations: numbers that never return, even when bytes do. Why not Google's own library:
docs/adr/0008-stores.md.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from otagate.store.gcs_sign import Signer
from otagate.store.gcs_upload import CHUNK_BYTES, Session, chunked, md5_text
from otagate.store.gcs_wire import ANSWER_S, Wire, table
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
_FIELDS = "name,size,generation,updated,contentType,cacheControl"
_GENERATION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_GOOGLE = re.compile(r"https://[a-z0-9.-]+\.googleapis\.com/", re.ASCII)


class GoogleObjects:
    """See Objects."""

    def __init__(self, wire: Wire, endpoint: str, bucket: str, where: str, signer: Signer | None = None) -> None:
        """Use a bucket; without a ``signer`` there are no signed addresses."""
        self.where = where
        self._wire, self._endpoint, self._bucket, self._signer = wire, endpoint, bucket, signer

    def _url(self, kind: str, key: str | None = None, query: Mapping[str, str] | None = None) -> str:
        """Give an address of the JSON API. **Source:** Cloud Storage, JSON API reference, "Objects"."""
        path = f"{self._endpoint}{kind}/storage/v1/b/{self._bucket}/o"
        path += "" if key is None else f"/{quote(key, safe='')}"
        return f"{path}?{urlencode(query)}" if query else path

    def head(self, key: str) -> Head | None:
        """See Objects.head."""
        try:
            answer = self._wire.request("GET", self._url("", key, {"fields": _FIELDS}), GET, of_object=True)
        except MissingObjectError:
            return None
        return _head(table(answer))

    def read(self, key: str, limit: int) -> tuple[bytes, Head] | None:
        """See Objects.read. Bytes and generation come in one answer."""
        try:
            response = self._download(key, 0)
        except MissingObjectError:
            return None
        body = bytearray()
        with contextlib.closing(response):
            for piece in self._wire.pieces(response, ANSWER_S):
                body += piece
                if len(body) > limit:
                    break
        return bytes(body[: limit + 1]), _told(key, response.headers)

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """See Objects.stream."""
        response = self._download(key, start)
        with contextlib.closing(response):
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise BrokenRequestError("the answer does not begin where it was asked to")
            yield from self._wire.pieces(response)

    def _download(self, key: str, start: int) -> httpx.Response:
        headers = {"Range": f"bytes={start}-"} if start else {}
        accept = (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,) if start else ()
        url = self._url("/download", key, {"alt": "media"})
        return self._wire.request("GET", url, GET, of_object=True, accept=accept, headers=headers, stream=True)

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        """See Objects.put."""
        generation = "0" if isinstance(condition, Absent) else condition.token
        if isinstance(condition, Unchanged) and not _GENERATION.fullmatch(generation):
            # Another store's token; and 0 would mean that there is no object yet.
            raise RefusedError("this token is no generation")
        return self._multipart(key, body, headers, {"ifGenerationMatch": generation})

    def _multipart(self, key: str, body: bytes, headers: Headers, conditions: dict[str, str]) -> str:
        """Write an object in one request and give its generation; the service compares the MD5 before it keeps anything.

        **Source:** Cloud Storage, JSON API, ``uploadType=multipart``; RFC 2387. Never ``uploadType=media``, which has no place
        for the headers and the checksum.
        """
        described = json.dumps({**_described(key, headers), "md5Hash": md5_text(body)})
        edge = secrets.token_hex(16)
        whole = b"".join(
            (
                f"--{edge}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{described}\r\n".encode(),
                f"--{edge}\r\nContent-Type: {headers.content_type}\r\n\r\n".encode(),
                body,
                f"\r\n--{edge}--\r\n".encode(),
            )
        )
        kind = {"Content-Type": f"multipart/related; boundary={edge}"}
        url = self._url("/upload", query={"uploadType": "multipart", **conditions})
        return _generation(table(self._wire.request("POST", url, CREATE, of_object=False, data=whole, headers=kind)))

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
            written = _send(session, pieces, on_progress)
        except BaseException:
            # Also for Ctrl-C. What cannot be cancelled now expires by itself after a week, unseen and unbilled.
            with contextlib.suppress(ObjectError):
                session.cancel()
            raise
        if written.get("md5Hash", session.md5) != session.md5:
            with contextlib.suppress(MissingObjectError, RefusedError):
                url = self._url("", key, {"ifGenerationMatch": _generation(written)})
                self._wire.request("DELETE", url, DELETE, of_object=True)
            raise TransientError("the stored bytes are not the sent ones")

    def _session(self, key: str, size: int, headers: Headers) -> Session:
        answer = self._wire.request(
            "POST",
            self._url("/upload", query={"uploadType": "resumable"}),
            CREATE,
            of_object=False,
            data=json.dumps(_described(key, headers)).encode(),
            headers={
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Type": headers.content_type,
                "X-Upload-Content-Length": str(size),
            },
        )
        place = answer.headers.get("Location", "")
        if not place.startswith(f"{self._endpoint}/") and not _GOOGLE.match(place):
            # The token goes there, too.
            raise BrokenRequestError("the upload's address is elsewhere")
        return Session(self._wire, place, size, CREATE)

    def delete(self, key: str) -> None:
        """See Objects.delete."""
        with contextlib.suppress(MissingObjectError):
            self._wire.request("DELETE", self._url("", key), DELETE, of_object=True)

    def list(self, prefix: str) -> Iterator[Head]:
        """See Objects.list."""
        query, seen = {"prefix": prefix, "fields": f"items({_FIELDS}),nextPageToken"}, set[str]()
        while True:
            page = table(self._wire.request("GET", self._url("", query=query), LIST, of_object=False))
            items, token = page.get("items", []), str(page.get("nextPageToken") or "")
            if not isinstance(items, list) or token in seen:
                raise BrokenRequestError("the listing never ends" if token in seen else "the answer is no listing")
            yield from [_head(item) for item in items]
            if not token:
                return
            seen.add(token)
            query["pageToken"] = token

    def sign(self, key: str, lifetime: timedelta) -> str:
        """See Objects.sign."""
        if self._signer is None:
            raise UnsupportedError(
                "an access token cannot sign: say service_account=NAME@PROJECT.iam.gserviceaccount.com in the store's URL, and "
                "grant the caller roles/iam.serviceAccountTokenCreator on that account"
            )
        return self._signer.address(self.address(key), lifetime, datetime.now(UTC))

    def address(self, key: str) -> str:
        """See Objects.address."""
        return f"{self._endpoint}/{self._bucket}/{quote(key, safe='/~')}"

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """See Objects.abort_unfinished: 0, for sessions cannot be listed, cost nothing and expire after a week."""
        return 0


def _send(session: Session, pieces: Iterable[bytes], on_progress: OnProgress) -> dict[str, Any]:
    for chunk in chunked(pieces):
        answer = session.send(chunk)
        on_progress(session.sent, session.size)
        if answer is not None:
            written = table(answer)
            _generation(written)
            return written
    raise BrokenRequestError(f"{session.sent} bytes came instead of {session.size}")


def _described(key: str, headers: Headers) -> dict[str, str]:
    return {"name": key, "contentType": headers.content_type, "cacheControl": headers.cache_control}


def _generation(item: Any) -> str:
    found = str(item.get("generation", "")) if isinstance(item, Mapping) else ""
    if not _GENERATION.fullmatch(found):
        raise TransientError("the answer names no generation")
    return found


def _head(item: Mapping[str, Any]) -> Head:
    """Read an object's description. **Source:** Cloud Storage, JSON API reference, "Object resource"."""
    generation = _generation(item)
    try:
        modified = datetime.fromisoformat(item["updated"]).astimezone(UTC)
        return Head(
            str(item["name"]), int(item["size"]), generation, modified, item.get("contentType"), item.get("cacheControl")
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        raise TransientError("the answer describes no object") from None


def _told(key: str, headers: Mapping[str, str]) -> Head:
    """Read what a download's headers tell of the object."""
    generation = _generation({"generation": headers.get("x-goog-generation")})
    try:
        modified = email.utils.parsedate_to_datetime(headers.get("Last-Modified", "")).astimezone(UTC)
        size = int(headers["Content-Length"])
    except (KeyError, ValueError, OverflowError):
        raise TransientError("the answer tells neither date nor size") from None
    return Head(key, size, generation, modified, headers.get("Content-Type"), headers.get("Cache-Control"))
