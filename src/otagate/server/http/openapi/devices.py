"""What the plugin asks: paths and bodies.

**Source:** the bodies are those of :mod:`otagate.server.facts` and :mod:`otagate.server.replies`.
"""

from __future__ import annotations

from otagate.model import MAX_APP_ID_CHARS
from otagate.server.http.openapi.operations import PROBLEM, answers, as_json, json_body, operation, query, without_body
from otagate.server.http.openapi.words import BOOL, COUNT, NULL, PLATFORM, TEXT, WORD, Json, json_object, ref

_APP_ID: Json = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$",
    "maxLength": MAX_APP_ID_CHARS,
    "examples": ["com.example.app"],
}
_UUID: Json = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "maxLength": 36,
}
_PLUGIN: Json = {
    "type": "string",
    "pattern": "^[0-9]{1,4}\\.[0-9]{1,4}\\.[0-9]{1,5}([-+.][0-9A-Za-z.+-]{1,60})?$",
    "maxLength": 80,
}
_PRINTABLE = r"^[ -~]*$"
_DEVICE_FIELDS: Json = {
    "app_id": _APP_ID,
    "device_id": {**_UUID, "description": "Made by the plugin; stored only as a keyed hash."},
    "platform": PLATFORM,
    "plugin_version": _PLUGIN,
    "version_build": {
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": _PRINTABLE,
        "description": "The native version.",
    },
    "version_name": {
        "type": "string",
        "minLength": 1,
        "maxLength": 128,
        "pattern": _PRINTABLE,
        "description": "What the device runs, or `builtin`.",
    },
    "is_emulator": BOOL,
    "is_prod": BOOL,
    "defaultChannel": {"type": ["string", NULL], "maxLength": 128, "pattern": _PRINTABLE},
    "key_id": {"type": ["string", NULL], "maxLength": 20, "pattern": "^[A-Za-z0-9+/=]*$"},
    "install_source": {"type": ["string", NULL], "maxLength": 64, "pattern": _PRINTABLE},
}
_DEVICE_REQUIRED = [
    "app_id",
    "device_id",
    "platform",
    "plugin_version",
    "version_build",
    "version_name",
    "is_emulator",
    "is_prod",
]
_EVENT_OPTIONAL = {"version_build", "version_name"}
_EVENT_FIELDS: Json = {
    **_DEVICE_FIELDS,
    "version_build": {"type": ["string", NULL], "maxLength": 128, "pattern": _PRINTABLE},
    "version_name": {
        "type": ["string", NULL],
        "maxLength": 4096,
        "pattern": "^[ -9;-~]{0,128}(:|$)",
        "description": "The bundle that the event is about; a file's path may follow a colon.",
    },
    "action": {
        "type": "string",
        "description": "One that is not known is acknowledged and not counted.",
        "examples": ["app_launch_ready", "set", "update_fail"],
    },
    "old_version_name": {"description": "A text; not looked at."},
    "timestamp": {"description": "Milliseconds by the device's clock, of which only differences are used; else passed over."},
    "metadata": {"description": "An object of texts; else passed over."},
}
SCHEMAS: Json = {
    "Device": json_object(_DEVICE_REQUIRED, **_DEVICE_FIELDS),
    "ChannelChoice": json_object(_DEVICE_REQUIRED, **_DEVICE_FIELDS, channel={"type": ["string", NULL]}),
    "Event": json_object([*(name for name in _DEVICE_REQUIRED if name not in _EVENT_OPTIONAL), "action"], **_EVENT_FIELDS),
    "Update": json_object(
        ["version", "url", "session_key", "checksum"],
        more=False,
        version={"type": "string", "minLength": 1},
        url={"type": "string", "format": "uri"},
        session_key={"type": "string", "description": "Empty when the bundle is not encrypted."},
        checksum={"type": "string", "description": "In the encoding that the plugin's version reads."},
    ),
    "ToBuiltin": json_object(["version"], more=False, version={"const": "builtin"}),
    "NoUpdate": json_object(
        ["error", "message", "kind"],
        error={"type": "string", "minLength": 1},
        message={"type": "string", "minLength": 1},
        kind={"type": "string", "enum": ["up_to_date", "blocked", "failed"]},
        version=TEXT,
    ),
    "EventTaken": json_object(["status"], status={"const": "ok"}),
    "EventsTaken": json_object(
        ["status", "results"],
        status={"const": "ok"},
        results={
            "type": "array",
            "items": json_object(["status", "index"], status={"enum": ["ok", "error"]}, index=COUNT, error=TEXT, message=TEXT),
        },
    ),
    "ChannelSet": json_object(["status"], status={"const": "ok"}, allowSet=BOOL, unset=BOOL),
    "ChannelTold": json_object(
        ["channel", "status"], channel=TEXT, status={"type": "string", "enum": ["override", "default"]}, allowSet=BOOL
    ),
    "ChannelList": {
        "type": "array",
        "items": json_object(["id", "name", "public", "allow_self_set"], id=COUNT, name=TEXT, public=BOOL, allow_self_set=BOOL),
    },
}
_QUERY_DEVICE = [
    query(name, WORD if schema is BOOL else schema, required=name in _DEVICE_REQUIRED)
    for name, schema in _DEVICE_FIELDS.items()
]
_ETAG: Json = {"ETag": {"required": True, "schema": TEXT}}
_ZIP: Json = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}


def _no_or(schema: str) -> Json:
    # Errors of this endpoint come with 200 too: the plugin reads the body.
    return {"anyOf": [ref(schema), PROBLEM]}


def paths() -> Json:
    """Give the paths of the plugin's protocol, and of the bundles that its answers name."""
    return {**_device_paths(), **_download_path()}


def _device_paths() -> Json:
    device = "the plugin"
    update = {"oneOf": [ref("Update"), ref("ToBuiltin"), ref("NoUpdate")]}
    # Of an array every event is taken or refused by itself, so that one that is wrong spoils no other.
    several = {"type": "array", "items": {"anyOf": [ref("Event"), {}]}, "maxItems": 256}
    events = {"oneOf": [ref("Event"), several]}
    taken = {"anyOf": [ref("EventsTaken"), ref("EventTaken")]}
    asked, choice = json_body(ref("Device")), json_body(ref("ChannelChoice"))
    return {
        "/updates": {
            "post": operation(
                "checkForUpdate",
                device,
                "Which bundle this device is to run",
                answers(as_json(update, "See `kind`: 200 does not mean that there is an update.")),
                requestBody=asked,
            )
        },
        "/stats": {
            "post": operation(
                "recordEvents",
                device,
                "What happened on a device; 200 means that it is durable",
                answers(as_json(taken, "Taken.")),
                requestBody=json_body(events),
            )
        },
        "/channel_self": {
            "post": operation(
                "setChannel",
                device,
                "A device chooses a channel",
                answers(as_json(_no_or("ChannelSet"), "Chosen, or why not.")),
                requestBody=choice,
            ),
            "put": operation(
                "getChannel",
                device,
                "Which channel a device follows",
                answers(as_json(_no_or("ChannelTold"), "The channel, or why there is none.")),
                requestBody=asked,
            ),
            "delete": operation(
                "unsetChannel",
                device,
                "A device takes its choice back",
                answers(as_json(_no_or("ChannelSet"), "Taken back.")),
                parameters=_QUERY_DEVICE,
            ),
            "get": operation(
                "listChannels",
                device,
                "Channels that a device may choose",
                answers(as_json({"anyOf": [ref("ChannelList"), PROBLEM]}, "The channels.")),
                parameters=_QUERY_DEVICE,
            ),
        },
    }


def _download_path() -> Json:
    digest = {"name": "digest", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
    ok = {"description": "The bundle.", **_ZIP, "headers": {**_ETAG, "Accept-Ranges": {"schema": {"const": "bytes"}}}}
    part = {"description": "A part of it.", **_ZIP, "headers": {**_ETAG, "Content-Range": {"required": True, "schema": TEXT}}}
    moved = {"description": "It is elsewhere.", "headers": {"Location": {"required": True, "schema": TEXT}}}
    known = {"description": "The client has it.", "headers": _ETAG}
    headers = [
        {"name": name, "in": "header", "required": False, "schema": TEXT} for name in ("Range", "If-Range", "If-None-Match")
    ]
    get = answers(ok, "404", "416", s206=part, s302=moved, s304=known)
    head = {status: answer for status, answer in answers(ok, "404", s302=moved, s304=known).items() if status != "416"}
    head = {status: without_body(status, answer) for status, answer in head.items()}
    what = "A bundle's bytes, while a channel names it"
    return {
        "/bundles/sha256/{digest}": {
            "parameters": [digest],
            "get": operation("getBundle", "the plugin", what, get, parameters=headers),
            "head": operation("headBundle", "the plugin", "Its size and tag", head, parameters=headers),
        }
    }
