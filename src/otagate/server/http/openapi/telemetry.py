"""What operators and gates ask of telemetry, with a token: paths and bodies.

**Source:** the bodies are those of :mod:`otagate.server.admin.counts`.
"""

from __future__ import annotations

from otagate.server.http.openapi.operations import as_json, query
from otagate.server.http.openapi.operators import APP_ID, CHANNEL, for_operators
from otagate.server.http.openapi.words import BOOL, COUNT, INSTANT, PLATFORM, TEXT, WORD, Json, json_object, or_null, ref
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import MAX_HEARD
from otagate.telemetry.model import VERIFY_BOUNDS_S

_NUMBER = "(0|[1-9][0-9]{0,8})"
_VERSION: Json = {
    "type": "string",
    "maxLength": 128,
    "pattern": rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
}
_APP = query("app", APP_ID, required=True)
_PERIOD = [query("start", INSTANT, required=True), query("end", INSTANT, required=True)]
_SINCE = [_APP, query("since", INSTANT, required=True)]
_SIDE: Json = {"type": "array", "items": COUNT, "minItems": len(PLAIN), "maxItems": len(PLAIN)}
_BINS = len(VERIFY_BOUNDS_S) + 1
SCHEMAS: Json = {
    "Counts": json_object(
        ["schema", "app", "release", "start", "end", "counts"],
        schema={"const": "otagate/counts/v1"},
        app=TEXT,
        release=TEXT,
        channel=or_null(TEXT),
        platform=or_null(TEXT),
        plugin=or_null(TEXT),
        test=BOOL,
        start=INSTANT,
        end=INSTANT,
        bucket_s=COUNT,
        verify_bounds_s={"type": "array", "items": COUNT},
        counts=json_object(
            [*PLAIN, "verify", "newest_at"],
            **dict.fromkeys(PLAIN, COUNT),
            verify={"type": "array", "items": COUNT, "minItems": _BINS, "maxItems": _BINS},
            newest_at=or_null(INSTANT),
        ),
    ),
    "SideBySide": json_object(
        ["schema", "app", "release", "control", "start", "end", "columns", "rows"],
        schema={"const": "otagate/side-by-side/v1"},
        app=TEXT,
        release=TEXT,
        control=TEXT,
        channel=or_null(TEXT),
        platform=or_null(TEXT),
        plugin=or_null(TEXT),
        test=BOOL,
        start=INSTANT,
        end=INSTANT,
        columns={"const": list(PLAIN), "description": "What the numbers of a row count."},
        rows={
            "type": "array",
            "items": {
                "type": "array",
                "prefixItems": [INSTANT, TEXT, TEXT, _SIDE, _SIDE],
                "minItems": 5,
                "maxItems": 5,
                "description": "First seen from then on, platform, plugin version, devices of the release, of the control.",
            },
        },
    ),
    "Releases": json_object(
        ["schema", "app", "releases"],
        schema={"const": "otagate/releases/v1"},
        app=TEXT,
        releases={"type": "array", "items": TEXT},
    ),
    "Active": json_object(
        ["schema", "app", "since", "active"],
        schema={"const": "otagate/active/v1"},
        app=TEXT,
        since=INSTANT,
        active={
            "type": "array",
            "items": json_object(
                ["channel", "release", "platform", "devices"], channel=TEXT, release=TEXT, platform=TEXT, devices=COUNT
            ),
        },
    ),
    "Heard": json_object(
        ["schema", "app", "since", "heard"],
        schema={"const": "otagate/heard/v1"},
        app=TEXT,
        since=INSTANT,
        heard={
            "type": "array",
            "maxItems": MAX_HEARD,
            "items": json_object(["hour", "channel", "devices"], hour=INSTANT, channel=TEXT, devices=COUNT),
        },
    ),
    "Plugins": json_object(
        ["schema", "app", "since", "plugins"],
        schema={"const": "otagate/plugins/v1"},
        app=TEXT,
        since=INSTANT,
        plugins={
            "type": "array",
            "items": json_object(["channel", "plugin", "devices"], channel=TEXT, plugin=TEXT, devices=COUNT),
        },
    ),
    "InUse": json_object(
        ["schema", "app", "since", "releases"],
        schema={"const": "otagate/in-use/v1"},
        app=TEXT,
        since=INSTANT,
        releases={"type": "array", "items": TEXT},
    ),
}


def paths() -> Json:
    """Give the paths of counts."""
    counted = [
        _APP,
        query("release", _VERSION, required=True),
        *_PERIOD,
        query("channel", CHANNEL),
        query("platform", PLATFORM),
        query("plugin", {"type": "string", "pattern": "^[0-9]{1,9}\\.[0-9]{1,9}\\.[0-9]{1,9}$"}),
        query("test", WORD, description="Emulators and development builds instead of real devices."),
    ]
    control = query("control", _VERSION, required=True, description="The other release.")
    both = as_json(ref("SideBySide"), "Devices first seen with either at the same time; a row where both have some.")
    summary = "Counts of two releases, by time and kind of device"
    newest = as_json(ref("Releases"), "Newest first.")
    return {
        "/api/v1/metrics": {
            "get": for_operators("getCounts", "Counts of one release", as_json(ref("Counts"), "Counts."), parameters=counted)
        },
        "/api/v1/side-by-side": {"get": for_operators("getSideBySide", summary, both, parameters=[*counted, control])},
        "/api/v1/releases": {
            "get": for_operators("getReleases", "Releases with new devices", newest, parameters=[_APP, *_PERIOD])
        },
        "/api/v1/active": {
            "get": for_operators("getActive", "Devices by what they run", as_json(ref("Active"), "Devices."), parameters=_SINCE)
        },
        "/api/v1/heard": {
            "get": for_operators("getHeard", "Devices heard in each hour", as_json(ref("Heard"), "By hour."), parameters=_SINCE)
        },
        "/api/v1/plugins": {
            "get": for_operators(
                "getPlugins", "Devices by plugin version", as_json(ref("Plugins"), "Devices."), parameters=_SINCE
            )
        },
        "/api/v1/in-use": {
            "get": for_operators("getInUse", "Versions in use", as_json(ref("InUse"), "Versions."), parameters=_SINCE)
        },
    }
