"""What a device says of itself, read from untrusted JSON. Pure; runs thousands of times a second.

Only what an answer or a counter depends on is read; everything else in the body is not looked at. **Source:** the plugin's
info object (``createInfoObject`` of @capgo/capacitor-updater 8.51.23) and what its own cloud requires of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from otagate.model import MAX_APP_ID_CHARS
from otagate.server import versions
from otagate.server.interface import Reply
from otagate.server.replies import BUILTIN, bad
from otagate.server.versions import Plugin

MAX_KEY_ID_CHARS = 20
MAX_INSTALL_SOURCE_CHARS = 64
_MAX_CHANNEL_CHARS = 128
_MAX_PLUGIN_CHARS = 80
_MAX_FILE_CHARS = 4096
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+", re.ASCII)
_DEVICE = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_DEVICE_CHARS = 36
_KEY_ID = re.compile(r"[A-Za-z0-9+/=]*", re.ASCII)
_PLATFORMS = frozenset({"ios", "android", "electron"})
_NATIVE_NAMES_BUILTIN: dict[int, Plugin] = {5: (5, 50, 1), 6: (6, 50, 1), 7: (7, 50, 1), 8: (8, 44, 0)}
"""From these versions on the built-in bundle is told by the native version instead of ``builtin``. A release under that very
version cannot be told from it. **Source:** the plugin at those tags, read."""
# What a query string makes of a boolean: Android writes words, iOS may write digits.
_QUERY_BOOL = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device, as it described itself; every field is within its bounds and safe to store.

    Attributes:
        app: App id, of a valid shape.
        device_id: UUID, lower-cased.
        platform: ``ios``, ``android`` or ``electron``.
        version_build: The native version as told; may be anything printable, or empty.
        native: The same as a semantic version, or None when it is none (``unknown``, words, empty).
        version_name: The bundle that a request is about: what the device runs (``builtin`` for the native one), or in an event
            the bundle that it tells of, without a file's path behind it. Empty only in events.
        plugin: Version of the plugin; a suffix is left out.
        is_emulator: An emulator or simulator.
        is_prod: A production build of the app.
        default_channel: The channel that the app was built with or has chosen on the device; empty: none.
        key_id: Begin of the public key that the app was built with; empty: not told.
    """

    app: str
    device_id: str
    platform: str
    version_build: str
    native: str | None
    version_name: str
    plugin: Plugin
    is_emulator: bool
    is_prod: bool
    default_channel: str
    key_id: str

    @property
    def is_builtin(self) -> bool:
        """Whether it runs the bundle of the native app."""
        return self.version_name == BUILTIN

    @property
    def is_test(self) -> bool:
        """Whether it is counted apart: an emulator or a development build."""
        return self.is_emulator or not self.is_prod

    @property
    def plugin_text(self) -> str:
        """The plugin's version as ``major.minor.patch``."""
        return "{}.{}.{}".format(*self.plugin)


class _FieldError(Exception):
    """A field that is missing or not what it has to be; never leaves this module."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


def read(value: Any, *, is_query: bool = False, is_event: bool = False) -> DeviceRequest | Reply:
    """Read a device's description of itself.

    Args:
        value: A JSON value from outside.
        is_query: It was a query string: booleans are texts.
        is_event: ``version_name`` may be empty, and may have a path behind a colon.

    Returns:
        The device, or the answer (400) to a body that is none. Never raises for what ``value`` is.
    """
    if type(value) is not dict:
        return bad("invalid_request", "the body has to be a JSON object")
    try:
        return _read(value, is_query=is_query, is_event=is_event)
    except _FieldError as error:
        return bad(error.error, error.message)


def _read(value: dict[str, Any], *, is_query: bool, is_event: bool) -> DeviceRequest:
    get = value.get
    app = _required(get("app_id"), "app_id", MAX_APP_ID_CHARS)
    if not _APP.fullmatch(app):
        _refuse("app_id", "an app id such as com.example.app")
    device_id = _required(get("device_id"), "device_id", _DEVICE_CHARS)
    if not _DEVICE.fullmatch(device_id):
        _refuse("device_id", "a UUID")
    platform = get("platform")
    if type(platform) is not str or platform not in _PLATFORMS:
        _refuse("platform", "ios, android or electron", is_missing=platform is None)
    plugin = versions.plugin(_required(get("plugin_version"), "plugin_version", _MAX_PLUGIN_CHARS))
    if plugin is None:
        _refuse("plugin_version", "a version such as 8.51.23")
    build = _native(get("version_build"), is_event=is_event)
    name = _told_of(get("version_name")) if is_event else _running(get("version_name"))
    if name == build and plugin >= _NATIVE_NAMES_BUILTIN.get(plugin[0], _NATIVE_NAMES_BUILTIN[8]):
        name = BUILTIN
    _optional(get("install_source"), "install_source", MAX_INSTALL_SOURCE_CHARS)
    return DeviceRequest(
        app=app,
        device_id=device_id.lower(),
        platform=platform,
        version_build=build,
        native=versions.coerce(build),
        version_name=name,
        plugin=plugin,
        is_emulator=_flag(get("is_emulator"), "is_emulator", is_query=is_query),
        is_prod=_flag(get("is_prod"), "is_prod", is_query=is_query),
        default_channel=_optional(get("defaultChannel"), "defaultChannel", _MAX_CHANNEL_CHARS),
        key_id=_key_id(get("key_id"), is_query=is_query),
    )


def _key_id(value: Any, *, is_query: bool) -> str:
    text = _optional(value, "key_id", MAX_KEY_ID_CHARS)
    if is_query:
        # iOS leaves the plus signs of base64 bare in a query, where they mean spaces.
        text = text.replace(" ", "+")
    if not _KEY_ID.fullmatch(text):
        _refuse("key_id", "the begin of a base64 text")
    return text


def _native(value: Any, *, is_event: bool) -> str:
    # Android's download worker sends an empty text when it does not know: events are counted without it.
    text = _optional(value, "version_build", versions.MAX_CHARS)
    if not text and not is_event:
        _refuse("version_build", "the native version", is_missing=True)
    return text


def _running(value: Any) -> str:
    return _required(value, "version_name", versions.MAX_CHARS)


def _told_of(value: Any) -> str:
    # "1.2.3:assets/app.js" tells of a file of 1.2.3. The path is not kept, so it need not be printable.
    if value is None:
        return ""
    if type(value) is not str or len(value) > _MAX_FILE_CHARS:
        _refuse("version_name", "a text")
    return _optional(value.partition(":")[0], "version_name", versions.MAX_CHARS)


def _required(value: Any, name: str, limit: int) -> str:
    text = _optional(value, name, limit)
    if not text:
        _refuse(name, "a text", is_missing=True)
    return text


def _optional(value: Any, name: str, limit: int) -> str:
    if value is None:
        return ""
    # isprintable() refuses control characters, NUL and lone surrogates: nothing that a database or a log would choke on.
    if type(value) is not str or len(value) > limit or not value.isprintable():
        _refuse(name, f"a printable text of at most {limit} characters")
    return value


def _flag(value: Any, name: str, *, is_query: bool) -> bool:
    if type(value) is bool:
        return value
    flag = _QUERY_BOOL.get(value) if is_query and type(value) is str else None
    if flag is None:
        _refuse(name, "true or false", is_missing=value is None)
    return flag


def _refuse(name: str, expected: str, *, is_missing: bool = False) -> NoReturn:
    if is_missing:
        raise _FieldError("missing_info", f"{name} is missing: expected {expected}")
    raise _FieldError("invalid_request", f"{name} is not valid: expected {expected}")
