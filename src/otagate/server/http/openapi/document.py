"""The OpenAPI 3.1 document of everything that the server answers. Tests hold it against the server.

**Source:** spec.openapis.org/oas/v3.1.1.
"""

from __future__ import annotations

from functools import lru_cache

from otagate import __version__
from otagate.server.http.openapi import devices, operators, own, telemetry
from otagate.server.http.openapi.operations import RESPONSES
from otagate.server.http.openapi.words import COUNT, Json, json_object

_SHARED: Json = {
    "Problem": json_object(
        ["error", "message"],
        error={"type": "string", "minLength": 1, "description": "A code that stays the same."},
        message={"type": "string", "minLength": 1},
        moreInfo=json_object([], retryAfterSeconds=COUNT),
    ),
}


@lru_cache(1)
def document() -> Json:
    """Give the document as a JSON value; not to be changed."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otagate update server",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Over-the-air updates for Capacitor apps: the protocol of the capacitor-updater plugin, and an API"
            " for operators. A path that is not here is told 404, a method that is not here 405 with Allow.",
        },
        "paths": {**devices.paths(), **operators.paths(), **telemetry.paths(), **own.paths()},
        "components": {
            "schemas": {**_SHARED, **devices.SCHEMAS, **operators.SCHEMAS, **telemetry.SCHEMAS, **own.SCHEMAS},
            "responses": RESPONSES,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "authorization",
                    "description": "`Bearer TOKEN` or the token.",
                },
                "capgkey": {"type": "apiKey", "in": "header", "name": "capgkey", "description": "As Capgo's clients send it."},
            },
        },
    }
