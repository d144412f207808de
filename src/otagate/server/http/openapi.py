"""The OpenAPI 3.1 document of everything that the server answers. A table; tests hold it against the server.

**Source:** spec.openapis.org/oas/v3.1.1; the bodies are those of :mod:`otagate.server.facts`, :mod:`otagate.server.replies`
and :mod:`otagate.server.admin`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from otagate import __version__
from otagate.model import MAX_APP_ID_CHARS
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.model import VERIFY_BOUNDS_S

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_BOOL: Json = {"type": "boolean"}
_WORD: Json = {"type": "string", "enum": ["true", "false", "1", "0"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_INSTANT: Json = {"type": "string", "format": "date-time"}
_OR_NULL = "null"
_APP_ID: Json = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$",
    "maxLength": MAX_APP_ID_CHARS,
    "examples": ["com.example.app"],
}
_ADMIN_APP_ID: Json = {
    "type": "string",
    "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)+$",
    "maxLength": MAX_APP_ID_CHARS,
    "examples": ["com.example.app"],
}
_UUID: Json = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "maxLength": 36,
}
_PLATFORM: Json = {"type": "string", "enum": ["ios", "android", "electron"]}
_PLUGIN: Json = {
    "type": "string",
    "pattern": "^[0-9]{1,4}\\.[0-9]{1,4}\\.[0-9]{1,5}([-+.][0-9A-Za-z.+-]{1,60})?$",
    "maxLength": 80,
}
_PRINTABLE = r"^[ -~]*$"
_DEVICE_FIELDS: Json = {
    "app_id": _APP_ID,
    "device_id": {**_UUID, "description": "Made by the plugin; stored only as a keyed hash."},
    "platform": _PLATFORM,
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
    "is_emulator": _BOOL,
    "is_prod": _BOOL,
    "defaultChannel": {"type": ["string", _OR_NULL], "maxLength": 128, "pattern": _PRINTABLE},
    "key_id": {"type": ["string", _OR_NULL], "maxLength": 20, "pattern": "^[A-Za-z0-9+/=]*$"},
    "install_source": {"type": ["string", _OR_NULL], "maxLength": 64, "pattern": _PRINTABLE},
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


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: list[str], more: Any = True, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": more}


def _maybe(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], _OR_NULL]}


_EVENT_FIELDS: Json = {
    **_DEVICE_FIELDS,
    "version_build": {"type": ["string", _OR_NULL], "maxLength": 128, "pattern": _PRINTABLE},
    "version_name": {
        "type": ["string", _OR_NULL],
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

_SIDE: Json = {"type": "array", "items": _COUNT, "minItems": len(PLAIN), "maxItems": len(PLAIN)}
_BINS = len(VERIFY_BOUNDS_S) + 1
_SHOWN: Json = {
    "updated_at": _maybe(_INSTANT),
    "device_id": _TEXT,
    "app_id": _TEXT,
    "platform": _maybe(_TEXT),
    "plugin_version": _TEXT,
    "version_build": _TEXT,
    "version_name": _maybe(_TEXT),
    "target": _maybe(_TEXT),
    "is_prod": _maybe(_BOOL),
    "is_emulator": _maybe(_BOOL),
    "is_test": _maybe(_BOOL),
    "followed_channel": _maybe(_TEXT),
    "chosen_channel": _maybe(_TEXT),
    "channel": {"type": "string", "description": "The override; missing: none."},
}

_SCHEMAS: Json = {
    "Problem": _object(
        ["error", "message"],
        error={"type": "string", "minLength": 1, "description": "A code that stays the same."},
        message={"type": "string", "minLength": 1},
        moreInfo=_object([], retryAfterSeconds=_COUNT),
    ),
    "Device": _object(_DEVICE_REQUIRED, **_DEVICE_FIELDS),
    "ChannelChoice": _object(_DEVICE_REQUIRED, **_DEVICE_FIELDS, channel={"type": ["string", _OR_NULL]}),
    "Event": _object([*(name for name in _DEVICE_REQUIRED if name not in _EVENT_OPTIONAL), "action"], **_EVENT_FIELDS),
    "Update": _object(
        ["version", "url", "session_key", "checksum"],
        more=False,
        version={"type": "string", "minLength": 1},
        url={"type": "string", "format": "uri"},
        session_key={"type": "string", "description": "Empty when the bundle is not encrypted."},
        checksum={"type": "string", "description": "In the encoding that the plugin's version reads."},
    ),
    "ToBuiltin": _object(["version"], more=False, version={"const": "builtin"}),
    "NoUpdate": _object(
        ["error", "message", "kind"],
        error={"type": "string", "minLength": 1},
        message={"type": "string", "minLength": 1},
        kind={"type": "string", "enum": ["up_to_date", "blocked", "failed"]},
        version=_TEXT,
    ),
    "EventTaken": _object(["status"], status={"const": "ok"}),
    "EventsTaken": _object(
        ["status", "results"],
        status={"const": "ok"},
        results={
            "type": "array",
            "items": _object(["status", "index"], status={"enum": ["ok", "error"]}, index=_COUNT, error=_TEXT, message=_TEXT),
        },
    ),
    "ChannelSet": _object(["status"], status={"const": "ok"}, allowSet=_BOOL, unset=_BOOL),
    "ChannelTold": _object(
        ["channel", "status"], channel=_TEXT, status={"type": "string", "enum": ["override", "default"]}, allowSet=_BOOL
    ),
    "ChannelList": {
        "type": "array",
        "items": _object(["id", "name", "public", "allow_self_set"], id=_COUNT, name=_TEXT, public=_BOOL, allow_self_set=_BOOL),
    },
    "ShownDevice": _object(["device_id", "app_id"], **_SHOWN),
    "DevicePage": _object(
        ["data", "nextCursor", "hasMore"],
        data={"type": "array", "items": _ref("ShownDevice")},
        nextCursor=_maybe(_TEXT),
        hasMore=_BOOL,
    ),
    "Counts": _object(
        ["schema", "app", "release", "start", "end", "counts"],
        schema={"const": "otagate/counts/v1"},
        app=_TEXT,
        release=_TEXT,
        channel=_maybe(_TEXT),
        platform=_maybe(_TEXT),
        plugin=_maybe(_TEXT),
        test=_BOOL,
        start=_INSTANT,
        end=_INSTANT,
        bucket_s=_COUNT,
        verify_bounds_s={"type": "array", "items": _COUNT},
        counts=_object(
            [*PLAIN, "verify", "newest_at"],
            **dict.fromkeys(PLAIN, _COUNT),
            verify={"type": "array", "items": _COUNT, "minItems": _BINS, "maxItems": _BINS},
            newest_at=_maybe(_INSTANT),
        ),
    ),
    "SideBySide": _object(
        ["schema", "app", "release", "control", "start", "end", "columns", "rows"],
        schema={"const": "otagate/side-by-side/v1"},
        app=_TEXT,
        release=_TEXT,
        control=_TEXT,
        channel=_maybe(_TEXT),
        platform=_maybe(_TEXT),
        plugin=_maybe(_TEXT),
        test=_BOOL,
        start=_INSTANT,
        end=_INSTANT,
        columns={"const": list(PLAIN), "description": "What the numbers of a row count."},
        rows={
            "type": "array",
            "items": {
                "type": "array",
                "prefixItems": [_INSTANT, _TEXT, _TEXT, _SIDE, _SIDE],
                "minItems": 5,
                "maxItems": 5,
                "description": "First seen from then on, platform, plugin version, devices of the release, of the control.",
            },
        },
    ),
    "Releases": _object(
        ["schema", "app", "releases"],
        schema={"const": "otagate/releases/v1"},
        app=_TEXT,
        releases={"type": "array", "items": _TEXT},
    ),
    "Active": _object(
        ["schema", "app", "since", "active"],
        schema={"const": "otagate/active/v1"},
        app=_TEXT,
        since=_INSTANT,
        active={
            "type": "array",
            "items": _object(
                ["channel", "release", "platform", "devices"], channel=_TEXT, release=_TEXT, platform=_TEXT, devices=_COUNT
            ),
        },
    ),
    "InUse": _object(
        ["schema", "app", "since", "releases"],
        schema={"const": "otagate/in-use/v1"},
        app=_TEXT,
        since=_INSTANT,
        releases={"type": "array", "items": _TEXT},
    ),
    "Healthy": _object(["status"], status={"const": "ok"}),
    "Unhealthy": _object(
        ["error", "message"],
        error=_TEXT,
        message=_TEXT,
        reasons={"type": "array", "items": {"enum": ["catalog", "database", "draining"]}},
    ),
}

_RETRY_AFTER: Json = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}}


def _json(schema: Json, description: str, headers: Json | None = None) -> Json:
    found: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return found if headers is None else {**found, "headers": headers}


_PROBLEM = _ref("Problem")
_RESPONSES: Json = {
    "400": _json(_PROBLEM, "The request is not well-formed: its body, its query, its Host or the HTTP itself."),
    "401": _json(_PROBLEM, "No token that may do this. An app that is not served here is told the same."),
    "403": _json(_PROBLEM, "The token is limited to some channels, and this tells of all."),
    "404": _json(_PROBLEM, "There is no such thing, or it is not to be seen."),
    "405": _json(
        _PROBLEM, "The path has no such method.", {"Allow": {"required": True, "schema": _TEXT, "description": "Which it has."}}
    ),
    "408": _json(_PROBLEM, "The request took too long to arrive."),
    "413": _json(_PROBLEM, "The body is larger than 64 KiB, or 512 KiB for /stats."),
    "415": _json(_PROBLEM, "The body is not application/json, or has a content encoding."),
    "416": _json(_PROBLEM, "The range begins after the end."),
    "417": _json(_PROBLEM, "Only 100-continue can be expected."),
    "429": _json(_PROBLEM, "Too many requests, or an app that this server does not serve.", _RETRY_AFTER),
    "431": _json(_PROBLEM, "Request line and headers are larger than 8 KiB."),
    "500": _json(_PROBLEM, "A fault of the server."),
    "501": _json(_PROBLEM, "A transfer coding other than chunked."),
    "503": _json(_PROBLEM, "There is no room now, or the database does not answer.", _RETRY_AFTER),
    "505": _json(_PROBLEM, "Not HTTP/1.1 or HTTP/1.0."),
}
_ALWAYS = ("400", "405", "408", "413", "415", "417", "429", "431", "500", "501", "503", "505")
"""What the transport may answer on every path, whatever was asked."""


def _answers(ok: Json, *more: str, **own: Json) -> Json:
    shared = {status: {"$ref": f"#/components/responses/{status}"} for status in sorted({*_ALWAYS, *more})}
    return {"200": ok, **shared, **{name.removeprefix("s"): answer for name, answer in own.items()}}


def _operation(name: str, tag: str, summary: str, responses: Json, **rest: Any) -> Json:
    return {"operationId": name, "tags": [tag], "summary": summary, "responses": responses, **rest}


def _body(schema: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Json, *, required: bool = False, description: str = "") -> Json:
    found: Json = {"name": name, "in": "query", "required": required, "schema": schema}
    return {**found, "description": description} if description else found


def _no_or(schema: str) -> Json:
    # Errors of this endpoint come with 200 too: the plugin reads the body.
    return {"anyOf": [_ref(schema), _PROBLEM]}


_QUERY_DEVICE = [
    _query(name, _WORD if schema is _BOOL else schema, required=name in _DEVICE_REQUIRED)
    for name, schema in _DEVICE_FIELDS.items()
]
_TOKEN: list[Json] = [{"token": []}, {"capgkey": []}]
_ADMIN = ("401", "403", "404")
_APP = _query("app", _ADMIN_APP_ID, required=True)
_DEVICE_NAME: Json = {"type": "string", "pattern": "^(key:[0-9a-f]{32}|[0-9A-Za-z-]{1,36})$"}
_APP_AND_DEVICE = [
    _query("app_id", _ADMIN_APP_ID, required=True),
    _query("device_id", _DEVICE_NAME, description="A device id, or `key:` and its hash."),
]
_PERIOD = [_query("start", _INSTANT, required=True), _query("end", _INSTANT, required=True)]
_SINCE = [_APP, _query("since", _INSTANT, required=True)]
_NUMBER = "(0|[1-9][0-9]{0,8})"
_VERSION: Json = {
    "type": "string",
    "maxLength": 128,
    "pattern": rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
}
_CHANNEL: Json = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_ETAG: Json = {"ETag": {"required": True, "schema": _TEXT}}
_ZIP: Json = {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}


def _device_paths() -> Json:
    device, told = "the plugin", {"description": "See `kind`: 200 does not mean that there is an update."}
    update = {"oneOf": [_ref("Update"), _ref("ToBuiltin"), _ref("NoUpdate")]}
    # Of an array every event is taken or refused by itself, so that one that is wrong spoils no other.
    several = {"type": "array", "items": {"anyOf": [_ref("Event"), {}]}, "maxItems": 256}
    events = {"oneOf": [_ref("Event"), several]}
    taken = {"anyOf": [_ref("EventsTaken"), _ref("EventTaken")]}
    asked, choice = _body(_ref("Device")), _body(_ref("ChannelChoice"))
    return {
        "/updates": {
            "post": _operation(
                "checkForUpdate",
                device,
                "Which bundle this device is to run",
                _answers(_json(update, told["description"])),
                requestBody=asked,
            )
        },
        "/stats": {
            "post": _operation(
                "recordEvents",
                device,
                "What happened on a device; 200 means that it is durable",
                _answers(_json(taken, "Taken.")),
                requestBody=_body(events),
            )
        },
        "/channel_self": {
            "post": _operation(
                "setChannel",
                device,
                "A device chooses a channel",
                _answers(_json(_no_or("ChannelSet"), "Chosen, or why not.")),
                requestBody=choice,
            ),
            "put": _operation(
                "getChannel",
                device,
                "Which channel a device follows",
                _answers(_json(_no_or("ChannelTold"), "The channel, or why there is none.")),
                requestBody=asked,
            ),
            "delete": _operation(
                "unsetChannel",
                device,
                "A device takes its choice back",
                _answers(_json(_no_or("ChannelSet"), "Taken back.")),
                parameters=_QUERY_DEVICE,
            ),
            "get": _operation(
                "listChannels",
                device,
                "Channels that a device may choose",
                _answers(_json({"anyOf": [_ref("ChannelList"), _PROBLEM]}, "The channels.")),
                parameters=_QUERY_DEVICE,
            ),
        },
    }


def _download_path() -> Json:
    digest = {"name": "digest", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
    ok = {"description": "The bundle.", **_ZIP, "headers": {**_ETAG, "Accept-Ranges": {"schema": {"const": "bytes"}}}}
    part = {"description": "A part of it.", **_ZIP, "headers": {**_ETAG, "Content-Range": {"required": True, "schema": _TEXT}}}
    moved = {"description": "It is elsewhere.", "headers": {"Location": {"required": True, "schema": _TEXT}}}
    known = {"description": "The client has it.", "headers": _ETAG}
    headers = [
        {"name": name, "in": "header", "required": False, "schema": _TEXT} for name in ("Range", "If-Range", "If-None-Match")
    ]
    get = _answers(ok, "404", "416", s206=part, s302=moved, s304=known)
    head = {status: answer for status, answer in _answers(ok, "404", s302=moved, s304=known).items() if status != "416"}
    head = {status: _without_body(status, answer) for status, answer in head.items()}
    what = "A bundle's bytes, while a channel names it"
    return {
        "/bundles/sha256/{digest}": {
            "parameters": [digest],
            "get": _operation("getBundle", "the plugin", what, get, parameters=headers),
            "head": _operation("headBundle", "the plugin", "Its size and tag", head, parameters=headers),
        }
    }


def _without_body(status: str, answer: Json) -> Json:
    shown = _RESPONSES[status] if "$ref" in answer else answer
    return {name: value for name, value in shown.items() if name != "content"}


def _admin_paths() -> Json:
    def operation(name: str, summary: str, ok: Json, **rest: Any) -> Json:
        return _operation(name, "operators", summary, _answers(ok, *_ADMIN), security=_TOKEN, **rest)

    return {"/device": _device_path(operation), **_count_paths(operation)}


def _device_path(operation: Callable[..., Json]) -> Json:
    pages = [
        _query("cursor", {"type": "string", "pattern": "^key:[0-9a-f]{32}$"}),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        _query("updated_at", _INSTANT, description="Devices seen after it."),
    ]
    shown = {"anyOf": [_ref("ShownDevice"), _ref("DevicePage")]}
    override = _object(
        ["app_id", "device_id", "channel"],
        more=False,
        app_id=_ADMIN_APP_ID,
        device_id=_DEVICE_NAME,
        channel=_CHANNEL,
    )
    done = _json(_ref("EventTaken"), "Done.")
    named = [_APP_AND_DEVICE[0], {**_APP_AND_DEVICE[1], "required": True}]
    return {
        "get": operation(
            "getDevice", "One device, or a page of them", _json(shown, "Devices."), parameters=[*_APP_AND_DEVICE, *pages]
        ),
        "post": operation("setOverride", "Give a device a channel", done, requestBody=_body(override)),
        "delete": operation("unsetOverride", "Take a device's override back", done, parameters=named),
    }


def _count_paths(operation: Callable[..., Json]) -> Json:
    counted = [
        _APP,
        _query("release", _VERSION, required=True),
        *_PERIOD,
        _query("channel", _CHANNEL),
        _query("platform", _PLATFORM),
        _query("plugin", {"type": "string", "pattern": "^[0-9]{1,9}\\.[0-9]{1,9}\\.[0-9]{1,9}$"}),
        _query("test", _WORD, description="Emulators and development builds instead of real devices."),
    ]
    control = _query("control", _VERSION, required=True, description="The other release.")
    both = _json(_ref("SideBySide"), "Devices first seen with either at the same time; a row where both have some.")
    summary = "Counts of two releases, by time and kind of device"
    newest = _json(_ref("Releases"), "Newest first.")
    return {
        "/api/v1/metrics": {
            "get": operation("getCounts", "Counts of one release", _json(_ref("Counts"), "Counts."), parameters=counted)
        },
        "/api/v1/side-by-side": {"get": operation("getSideBySide", summary, both, parameters=[*counted, control])},
        "/api/v1/releases": {"get": operation("getReleases", "Releases with new devices", newest, parameters=[_APP, *_PERIOD])},
        "/api/v1/active": {
            "get": operation("getActive", "Devices by what they run", _json(_ref("Active"), "Devices."), parameters=_SINCE)
        },
        "/api/v1/in-use": {
            "get": operation("getInUse", "Versions in use", _json(_ref("InUse"), "Versions."), parameters=_SINCE)
        },
    }


def _own_paths() -> Json:
    tag, ok = "the server", _json(_ref("Healthy"), "It is well.")
    text = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": _TEXT}}}
    unhealthy = _json(_ref("Unhealthy"), "Do not send anybody here now.", _RETRY_AFTER)

    def head(responses: Json) -> Json:
        return {status: _without_body(status, answer) for status, answer in responses.items()}

    health, alive = _answers(ok, s503=unhealthy), _answers(ok)
    own = _answers(_json({"type": "object"}, "This document."))
    return {
        "/healthz": {
            "get": _operation("getHealth", tag, "Whether to send anybody here", health),
            "head": _operation("headHealth", tag, "The same without words", head(health)),
        },
        "/livez": {
            "get": _operation("getAlive", tag, "Whether the process lives", alive),
            "head": _operation("headAlive", tag, "The same without words", head(alive)),
        },
        "/metrics": {
            "get": _operation("getFigures", tag, "Figures for Prometheus", _answers(text, "401"), security=[*_TOKEN, {}])
        },
        "/openapi.json": {
            "get": _operation("getOpenApi", tag, "This document", own),
            "head": _operation("headOpenApi", tag, "Its size", head(own)),
        },
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
        "paths": {**_device_paths(), **_download_path(), **_admin_paths(), **_own_paths()},
        "components": {
            "schemas": _SCHEMAS,
            "responses": _RESPONSES,
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
