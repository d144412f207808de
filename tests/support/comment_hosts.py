"""GitHub and GitLab as far as comments go, at the wire: what the libraries send really is HTTP, answered from memory."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import responses

from otagate.ci.comments.place import Place

TOKEN = "ghs_aTokenThatMustNeverBeSeenAnywhere123"
Answer = tuple[int, dict[str, str], str]
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@dataclass
class Stored:
    """A comment in the fake host's memory."""

    id: int
    body: str
    author: str
    kind: str = "Bot"
    is_system: bool = False


@dataclass
class FakeHost(ABC):
    """Comments of one pull request, and everything that was asked.

    Attributes:
        me: Whose token it is.
        comments: What is there, oldest first.
        asked: ``METHOD path`` of each request.
        tokens: What stood in the authorization header of each request, by host name.
        faults: Taken first, one a request: a status, an exception to raise, or an answer. None lets the request through.
        lost: Carry out the next write, then answer 502.
    """

    me: str = "ci[bot]"
    comments: list[Stored] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: list[tuple[str, str]] = field(default_factory=list)
    faults: list[int | Exception | Answer | None] = field(default_factory=list)
    lost: bool = False
    api: str = ""

    @property
    @abstractmethod
    def place(self) -> Place: ...

    @property
    def writes(self) -> list[str]:
        return [line for line in self.asked if not line.startswith("GET ") and "graphql" not in line]

    def add(self, body: str, author: str | None = None, **more: Any) -> Stored:
        comment = Stored(max((known.id for known in self.comments), default=100) + 1, body, author or self.me, **more)
        self.comments.append(comment)
        return comment

    def install(self, mock: responses.RequestsMock) -> None:
        for method in METHODS:
            mock.add_callback(method, re.compile(re.escape(self.api)), self._receive, content_type="application/json")

    def _receive(self, request: requests.PreparedRequest) -> Answer:
        url = urlsplit(str(request.url))
        self.asked.append(f"{request.method} {url.path}")
        self.tokens.append((str(url.hostname), str(request.headers.get("Authorization"))))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if isinstance(fault, int):
            return fault, {}, json.dumps({"message": f"no, {TOKEN}"})
        if fault is not None:
            return fault
        answer = self.answer(
            str(request.method),
            url.path,
            parse_qs(url.query),
            json.loads(request.body) if isinstance(request.body, bytes | str) else {},
        )
        if self.lost and request.method != "GET":
            self.lost = False
            return 502, {}, "{}"
        return answer

    @abstractmethod
    def show(self, comment: Stored) -> dict[str, Any]: ...

    @abstractmethod
    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> Answer: ...

    def page(self, show: Callable[[Stored], dict[str, Any]], path: str, query: Mapping[str, list[str]], origin: str) -> Answer:
        size, number = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        shown = self.comments[(number - 1) * size : number * size]
        more = number * size < len(self.comments)
        link = {"Link": f'<{origin}{path}?per_page={size}&page={number + 1}>; rel="next"'} if more else {}
        return 200, link, json.dumps([show(comment) for comment in shown])

    def change(self, method: str, number: int, body: dict[str, Any], show: Callable[[Stored], dict[str, Any]]) -> Answer:
        comment = next((known for known in self.comments if known.id == number), None)
        if comment is None:
            return 404, {}, "{}"
        if method == "DELETE":
            self.comments.remove(comment)
            return 204, {}, ""
        comment.body = body["body"]
        return 200, {}, json.dumps(show(comment))


@dataclass
class FakeGithub(FakeHost):
    """GitHub; ``graphql`` and ``rest_user`` say whether the host answers these two questions of who we are."""

    api: str = "https://api.github.com:443"
    graphql: bool = True
    rest_user: bool = False

    @property
    def place(self) -> Place:
        return Place("github", "https://api.github.com", "acme/app", 7, "https://github.com/acme/app/pull/7", is_fork=False)

    def show(self, comment: Stored) -> dict[str, Any]:
        return {
            "id": comment.id,
            "body": comment.body,
            "html_url": f"https://github.com/acme/app/pull/7#issuecomment-{comment.id}",
            "url": f"https://api.github.com/repos/acme/app/issues/comments/{comment.id}",
            "user": {"login": comment.author, "type": comment.kind},
        }

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> Answer:
        if path == "/graphql":
            return (200, {}, json.dumps({"data": {"viewer": {"login": self.me}}})) if self.graphql else (404, {}, "{}")
        if path == "/user":
            return (200, {}, json.dumps({"login": self.me})) if self.rest_user else (403, {}, "{}")
        if match := re.fullmatch(r"/repos/acme/app/issues/comments/(\d+)", path):
            return self.change(method, int(match[1]), body, self.show)
        if path != "/repos/acme/app/issues/7/comments":
            return 404, {}, "{}"
        if method == "POST":
            return 201, {}, json.dumps(self.show(self.add(body["body"])))
        return self.page(self.show, path, query, "https://api.github.com")


@dataclass
class FakeGitlab(FakeHost):
    """A GitLab below a path of its server."""

    me: str = "5"
    api: str = "https://gitlab.example/sub/api/v4"

    @property
    def place(self) -> Place:
        return Place(
            "gitlab", "https://gitlab.example/sub", "42", 7, "https://gitlab.example/sub/acme/app/-/merge_requests/7", is_fork=False
        )  # fmt: skip

    def show(self, comment: Stored) -> dict[str, Any]:
        author = int(comment.author) if comment.author.isdigit() else 99
        return {"id": comment.id, "body": comment.body, "system": comment.is_system, "author": {"id": author}}

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> Answer:
        notes = "/sub/api/v4/projects/42/merge_requests/7/notes"
        if path == "/sub/api/v4/user":
            return 200, {}, json.dumps({"id": int(self.me)})
        if match := re.fullmatch(rf"{notes}/(\d+)", path):
            return self.change(method, int(match[1]), body, self.show)
        if path != notes:
            return 404, {}, "{}"
        if method == "POST":
            return 201, {}, json.dumps(self.show(self.add(body["body"])))
        return self.page(self.show, path, query, "https://gitlab.example")


class StillClock:
    """A clock that notes how long it was asked to wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> Any:
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
