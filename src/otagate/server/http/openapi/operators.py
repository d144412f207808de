"""What operators ask about single devices, with a token: paths and bodies.

**Source:** the bodies are those of :mod:`otagate.server.admin`.
"""

from __future__ import annotations

from typing import Any

from otagate.model import MAX_APP_ID_CHARS
from otagate.server.http.openapi.operations import answers, as_json, json_body, operation, query
from otagate.server.http.openapi.words import BOOL, INSTANT, TEXT, Json, json_object, or_null, ref

TOKEN: list[Json] = [{"token": []}, {"capgkey": []}]
_ADMIN = ("401", "403", "404")
APP_ID: Json = {
    "type": "string",
    "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+$",
    "maxLength": MAX_APP_ID_CHARS,
    "examples": ["com.example.app"],
}
CHANNEL: Json = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_DEVICE_NAME: Json = {"type": "string", "pattern": "^(key:[0-9a-f]{32}|[0-9A-Za-z-]{1,36})$"}
_APP_AND_DEVICE = [
    query("app_id", APP_ID, required=True),
    query("device_id", _DEVICE_NAME, description="A device id, or `key:` and its hash."),
]
_SHOWN: Json = {
    "updated_at": or_null(INSTANT),
    "device_id": TEXT,
    "app_id": TEXT,
    "platform": or_null(TEXT),
    "plugin_version": TEXT,
    "version_build": TEXT,
    "version_name": or_null(TEXT),
    "target": or_null(TEXT),
    "is_prod": or_null(BOOL),
    "is_emulator": or_null(BOOL),
    "is_test": or_null(BOOL),
    "followed_channel": or_null(TEXT),
    "chosen_channel": or_null(TEXT),
    "channel": {"type": "string", "description": "The override; missing: none."},
}
SCHEMAS: Json = {
    "ShownDevice": json_object(["device_id", "app_id"], **_SHOWN),
    "DevicePage": json_object(
        ["data", "nextCursor", "hasMore"],
        data={"type": "array", "items": ref("ShownDevice")},
        nextCursor=or_null(TEXT),
        hasMore=BOOL,
    ),
}


def paths() -> Json:
    """Give the paths of single devices."""
    pages = [
        query("cursor", {"type": "string", "pattern": "^key:[0-9a-f]{32}$"}),
        query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        query("updated_at", INSTANT, description="Devices seen after it."),
    ]
    shown = {"anyOf": [ref("ShownDevice"), ref("DevicePage")]}
    override = json_object(
        ["app_id", "device_id", "channel"],
        more=False,
        app_id=APP_ID,
        device_id=_DEVICE_NAME,
        channel=CHANNEL,
    )
    done = as_json(ref("EventTaken"), "Done.")
    named = [_APP_AND_DEVICE[0], {**_APP_AND_DEVICE[1], "required": True}]
    return {
        "/device": {
            "get": for_operators(
                "getDevice", "One device, or a page of them", as_json(shown, "Devices."), parameters=[*_APP_AND_DEVICE, *pages]
            ),
            "post": for_operators("setOverride", "Give a device a channel", done, requestBody=json_body(override)),
            "delete": for_operators("unsetOverride", "Take a device's override back", done, parameters=named),
        }
    }


def for_operators(name: str, summary: str, ok: Json, **rest: Any) -> Json:
    """Give one method of a path that wants a token."""
    return operation(name, "operators", summary, answers(ok, *_ADMIN), security=TOKEN, **rest)
