"""Operations of the OpenAPI document, and what the transport may answer to each."""

from __future__ import annotations

from typing import Any

from otagate.server.http.openapi.words import TEXT, Json, ref

RETRY_AFTER: Json = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}}


def as_json(schema: Json, description: str, headers: Json | None = None) -> Json:
    """Give a response whose body is JSON."""
    found: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return found if headers is None else {**found, "headers": headers}


PROBLEM = ref("Problem")
RESPONSES: Json = {
    "400": as_json(PROBLEM, "The request is not well-formed: its body, its query, its Host or the HTTP itself."),
    "401": as_json(PROBLEM, "No token that may do this. An app that is not served here is told the same."),
    "403": as_json(PROBLEM, "The token is limited to some channels, and this tells of all."),
    "404": as_json(PROBLEM, "There is no such thing, or it is not to be seen."),
    "405": as_json(
        PROBLEM, "The path has no such method.", {"Allow": {"required": True, "schema": TEXT, "description": "Which it has."}}
    ),
    "408": as_json(PROBLEM, "The request took too long to arrive."),
    "413": as_json(PROBLEM, "The body is larger than 64 KiB, or 512 KiB for /stats."),
    "415": as_json(PROBLEM, "The body is not application/json, or has a content encoding."),
    "416": as_json(PROBLEM, "The range begins after the end."),
    "417": as_json(PROBLEM, "Only 100-continue can be expected."),
    "429": as_json(PROBLEM, "Too many requests, or an app that this server does not serve.", RETRY_AFTER),
    "431": as_json(PROBLEM, "Request line and headers are larger than 8 KiB."),
    "500": as_json(PROBLEM, "A fault of the server."),
    "501": as_json(PROBLEM, "A transfer coding other than chunked."),
    "503": as_json(PROBLEM, "There is no room now, or the database does not answer.", RETRY_AFTER),
    "505": as_json(PROBLEM, "Not HTTP/1.1 or HTTP/1.0."),
}
_ALWAYS = ("400", "405", "408", "413", "415", "417", "429", "431", "500", "501", "503", "505")
"""What the transport may answer on every path, whatever was asked."""


def answers(ok: Json, *more: str, **own: Json) -> Json:
    """Give the responses of an operation: its own, and what the transport may answer on every path."""
    shared = {status: {"$ref": f"#/components/responses/{status}"} for status in sorted({*_ALWAYS, *more})}
    return {"200": ok, **shared, **{name.removeprefix("s"): answer for name, answer in own.items()}}


def operation(name: str, tag: str, summary: str, responses: Json, **rest: Any) -> Json:
    """Give one method of a path."""
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses, **rest}


def json_body(schema: Json) -> Json:
    """Give a request body of JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def query(name: str, schema: Json, *, required: bool = False, description: str = "") -> Json:
    """Give a parameter of the query."""
    found: Json = {"name": name, "in": "query", "required": required, "schema": schema}
    return {**found, "description": description} if description else found


def without_body(status: str, answer: Json) -> Json:
    """Give the response to a HEAD."""
    shown = RESPONSES[status] if "$ref" in answer else answer
    return {name: value for name, value in shown.items() if name != "content"}
