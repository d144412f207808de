"""A server on the other end of a virtual device's wire that answers what a test wrote down."""

from __future__ import annotations

import copy
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from otagate.fleet.interface import NoAnswerError, Response

UP_TO_DATE = {"error": "no_new_version_available", "message": "nothing new", "kind": "up_to_date"}
BASE = "http://updates.test"


def zipped(files: Mapping[str, bytes] | None = None) -> bytes:
    """Make a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (files or {"index.html": b"<p>notifyAppReady</p>" * 40, "a.js": bytes(4000)}).items():
            archive.writestr(name, content)
    return out.getvalue()


def offer_of(version: str, data: bytes, **more: Any) -> dict[str, Any]:
    """Make the answer that offers a clear zip, see HandMadeServer.blobs for its bytes."""
    checksum = hashlib.sha256(data).hexdigest()
    return {"version": version, "url": f"{BASE}/{version}.zip", "session_key": "", "checksum": checksum, **more}


@dataclass
class HandMadeServer:
    """A Transport.

    Attributes:
        update: The answer to an update check, or what makes it of the device's own words.
        blobs: What downloads give, by address; absent ones are 404.
        stats_status: Of an answer to events.
        headers: Of every answer.
        is_dead: Nothing comes back.
        channels: What ``listChannels`` gives.
        requests: Method, last part of the address and body of each request.
        ranges: Where each download began.
        knows_ranges: Whether downloads may begin later.
        download_status: Statuses to give before downloads work.
    """

    update: dict[str, Any] | Callable[[dict[str, Any]], dict[str, Any]] = field(default_factory=lambda: dict(UP_TO_DATE))
    blobs: dict[str, bytes] = field(default_factory=dict)
    update_status: int = 200
    stats_status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_dead: bool = False
    channels: Any = field(default_factory=list)
    own_answer: dict[str, Any] = field(default_factory=lambda: {"status": "ok"})
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    ranges: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    download_status: list[int] = field(default_factory=list)

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        what = url.removeprefix(BASE + "/")
        self.requests.append((method, what, copy.deepcopy(body)))
        if self.is_dead:
            raise NoAnswerError
        if what == "updates":
            answer = self.update(body) if callable(self.update) else self.update
            return Response(self.update_status, answer, self.headers)
        if what == "stats":
            results = [{"status": "ok", "index": at} for at in range(len(body))] if isinstance(body, list) else None
            return Response(
                self.stats_status, {"status": "ok", "results": results} if results else {"status": "ok"}, self.headers
            )
        return Response(200, self.channels if method == "GET" else self.own_answer, self.headers)

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        self.ranges.append(start)
        if self.is_dead:
            raise NoAnswerError
        if self.download_status:
            return Response(self.download_status.pop(0), b"", {})
        data = self.blobs.get(url)
        if data is None:
            return Response(404, b"", {})
        if start and self.knows_ranges:
            return Response(206, data[start:], {})
        return Response(200, data, {})

    def events(self) -> list[dict[str, Any]]:
        """Give every event that came, in order."""
        found: list[dict[str, Any]] = []
        for _method, what, body in self.requests:
            if what == "stats":
                found += body if isinstance(body, list) else [body]
        return found

    def told(self) -> list[tuple[str, str]]:
        """Give action and version of every event, in order."""
        return [(event["action"], event["version_name"]) for event in self.events()]

    def offers(self, version: str, files: Mapping[str, bytes] | None = None, **more: Any) -> None:
        """Offer a clear bundle to everybody who does not run it."""
        data = zipped(files)
        answer = offer_of(version, data, **more)
        self.blobs[answer["url"]] = data
        self.update = lambda body: dict(UP_TO_DATE) if body["version_name"] == version else answer
