"""What the server tells of itself: paths and bodies."""

from __future__ import annotations

from otagate.server.http.openapi.operations import RETRY_AFTER, answers, as_json, operation, without_body
from otagate.server.http.openapi.operators import TOKEN
from otagate.server.http.openapi.words import TEXT, Json, json_object, ref

SCHEMAS: Json = {
    "Healthy": json_object(["status"], status={"const": "ok"}),
    "Unhealthy": json_object(
        ["error", "message"],
        error=TEXT,
        message=TEXT,
        reasons={"type": "array", "items": {"enum": ["catalog", "database", "draining"]}},
    ),
}


def paths() -> Json:
    """Give the paths of health, figures and the document."""
    tag, ok = "the server", as_json(ref("Healthy"), "It is well.")
    text = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": TEXT}}}
    unhealthy = as_json(ref("Unhealthy"), "Do not send anybody here now.", RETRY_AFTER)

    def head(responses: Json) -> Json:
        return {status: without_body(status, answer) for status, answer in responses.items()}

    health, alive = answers(ok, s503=unhealthy), answers(ok)
    own = answers(as_json({"type": "object"}, "This document."))
    return {
        "/healthz": {
            "get": operation("getHealth", tag, "Whether to send anybody here", health),
            "head": operation("headHealth", tag, "The same without words", head(health)),
        },
        "/livez": {
            "get": operation("getAlive", tag, "Whether the process lives", alive),
            "head": operation("headAlive", tag, "The same without words", head(alive)),
        },
        "/metrics": {
            "get": operation("getFigures", tag, "Figures for Prometheus", answers(text, "401"), security=[*TOKEN, {}])
        },
        "/openapi.json": {
            "get": operation("getOpenApi", tag, "This document", own),
            "head": operation("headOpenApi", tag, "Its size", head(own)),
        },
    }
