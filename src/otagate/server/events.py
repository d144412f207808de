"""What the plugin tells on ``/stats``, and what it says about a release. Pure, and one table.

**Source:** the actions that @capgo/capacitor-updater 8.51.23 sends (Android and iOS), and those that its cloud's list allows;
``docs`` of the events are made from :data:`ACTIONS`. An action that is not in the table is acknowledged and counted as
unknown: newer plugins add some, and must not be made to send them again.

Three things about events that no table can mend, and what is done about them:

* A plugin names the bundle that runs, not the one that failed, in some failures (``checksum_fail``, ``unzip_fail`` of
  Android). The running bundle has succeeded, which outweighs it; the failed one gets ``finish_download_fail`` by its name.
* ``set`` is sent before the bundle shows that it works, so it is no success; what it says of ``old_version_name`` is nothing.
* An event may arrive late, twice and in another order: marks are joined, and instants of the device's clock are only ever
  compared with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from otagate.server.replies import BUILTIN
from otagate.server.versions import AFTER_STRAYS, Plugin
from otagate.telemetry.model import NOTHING, Mark

MAX_ACTION_CHARS = 64
MIN_CLOCK_MS = 946_684_800_000
"""1 January 2000, Unix milliseconds: a device's clock that says less was never set."""
MAX_CLOCK_MS = 4_102_444_800_000
"""1 January 2100."""

UNKNOWN_ACTION = "unknown_action"
"""Not counted: an action that is not in the table."""
NO_UPDATE_NOISE = "no_update_noise"
"""Not counted: older plugins report "no update" as a failure."""
INVALID_EVENT = "invalid_event"
"""Not counted: not an event."""

# Source: plugin tags: 7.28.0 and 6.27.10 are the first that are silent when an answer to an update check says "nothing new";
# of the line for Capacitor 5, 5.9.5 is not, and the next tag, 5.50.1, is. All of 8 are.
_FIRST_SILENT: Mapping[int, Plugin] = {5: (5, 50, 0), 6: (6, 27, 10), 7: (7, 28, 0), **AFTER_STRAYS}
_NOISY = frozenset({"download_fail", "backend_refusal"})


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table.

    Attributes:
        description: What the plugin means by it, for people.
        marks: What it says about the release that it names.
        is_start: Its time is one at which a download began, or nearly: the latest counts as the start.
        is_verified: Its time is when the bundle was checked.
        tells_running: The named bundle is the one that runs now.
    """

    description: str
    marks: Mark = NOTHING
    is_start: bool = False
    is_verified: bool = False
    tells_running: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What an event tells.

    Attributes:
        marks: What happened to the named release.
        started_ms: See Observation.
        verified_ms: See Observation.
        tells_running: The named bundle is the one that runs now.
    """

    marks: Mark
    started_ms: int | None
    verified_ms: int | None
    tells_running: bool


def _started(description: str) -> Action:
    return Action(description, Mark.STARTED, is_start=True)


def _failed(mark: Mark, description: str) -> Action:
    return Action(description, mark)


def _runs(description: str, marks: Mark = NOTHING) -> Action:
    return Action(description, marks, tells_running=True)


_LIFE = {
    "set_next": Action("the bundle is ready and will run from the next start or background on", Mark.VERIFIED),
    "set": _runs("the bundle is made the one to run; not yet a success", Mark.SET),
    "set_fail": _failed(Mark.INTEGRITY, "the bundle could not be made the one to run: its files are not there"),
    "reset": _runs("the device went back to this bundle (`builtin`, or the last that worked)"),
    "delete": Action("the bundle was deleted from the device"),
    "update_fail": _failed(Mark.BOOT, "the app did not call `notifyAppReady` in time; the device rolled back by itself"),
    "app_moved_to_foreground": _runs("the app came to the front running the bundle", Mark.RAN),
    "app_moved_to_background": _runs("the app went to the back running the bundle", Mark.RAN),
    "blocked_by_server_url": Action("updates are off, because the app is built to load its pages from an address"),
    "ping": Action("a sign of life"),
    "get": Action("the server named a bundle; written by the plugin's cloud"),
    "uninstall": Action("another bundle took over; written by the plugin's cloud"),
    "app_launch_start": _runs("the app was started with the bundle; not yet a success"),
    "app_launch_ready": _runs("the app called `notifyAppReady`: the bundle works", Mark.READY),
    "app_launch_timeout": _failed(Mark.BOOT, "the app did not call `notifyAppReady` in time"),
    "app_nav": Action("the user went to another page of the app"),
    "os_version_changed": Action("the system of the device was updated"),
    "native_app_version_changed": Action("the native app was updated"),
}

_DOWNLOAD = {
    "download_zip_start": _started("the download of the zip began"),
    "download_manifest_start": _started("the download of single files began"),
    # Android's worker tells of the start without a time; the first tenth is the earliest that has one.
    **{f"download_{share}": _started(f"{share} % of the download are done") for share in (0, 10)},
    **{f"download_{share}": Action(f"{share} % of the download are done", Mark.STARTED) for share in range(20, 100, 10)},
    "download_zip_complete": Action("the zip is downloaded; not yet checked", Mark.STARTED),
    "download_manifest_complete": Action("all single files are downloaded and checked", Mark.STARTED),
    "download_complete": Action("the bundle is downloaded, opened and checked", Mark.STARTED | Mark.VERIFIED, is_verified=True),
    "download_fail": _failed(Mark.NETWORK, "the download failed"),
    "download_manifest_file_fail": _failed(Mark.NETWORK, "the download of a single file failed"),
    "finish_download_fail": _failed(Mark.INTEGRITY, "the downloaded bundle could not be opened or checked"),
    "download_manifest_checksum_fail": _failed(Mark.INTEGRITY, "a single file has another checksum"),
    "download_manifest_brotli_fail": _failed(Mark.INTEGRITY, "a single file could not be decompressed"),
    "manifest_path_fail": _failed(Mark.INTEGRITY, "the path of a single file is not allowed"),
    "checksum_fail": _failed(Mark.INTEGRITY, "the bundle has another checksum"),
    "checksum_required": _failed(Mark.INTEGRITY, "the answer named no checksum"),
    "session_key_required": _failed(Mark.INTEGRITY, "the app has a public key, and the answer named no session key"),
    "decrypt_fail": _failed(Mark.INTEGRITY, "the bundle could not be decrypted"),
    "unzip_fail": _failed(Mark.INTEGRITY, "the zip could not be opened"),
    "windows_path_fail": _failed(Mark.INTEGRITY, "a path in the zip has a backslash"),
    "canonical_path_fail": _failed(Mark.INTEGRITY, "a path in the zip leads out of the bundle"),
    "directory_path_fail": _failed(Mark.INTEGRITY, "a folder in the zip could not be made"),
    "low_mem_fail": _failed(Mark.REFUSAL, "the device had too little memory"),
    "insufficient_disk_space": _failed(Mark.REFUSAL, "the device had too little room"),
}

_HEALTH = {
    "app_crash": _failed(Mark.CRASHED, "the app crashed (Java, Kotlin, Swift)"),
    "app_crash_native": _failed(Mark.CRASHED, "the app crashed in native code"),
    "app_anr": _failed(Mark.CRASHED, "the app did not respond and was ended"),
    "app_initialization_failure": _failed(Mark.CRASHED, "the app could not be started"),
    "app_killed_excessive_resource_usage": _failed(Mark.CRASHED, "the system ended the app for what it used"),
    "app_killed_low_memory": Action("the system ended the app for want of memory: no fault of the bundle by itself"),
    "app_memory_warning": Action("the system warned of little memory"),
    "webview_javascript_error": _failed(Mark.ERRORED, "a script threw an error that nothing caught"),
    "webview_unhandled_rejection": _failed(Mark.ERRORED, "a promise was rejected and nothing handled it"),
    "webview_resource_error": Action("something that a page names could not be loaded; often not of the bundle"),
    "webview_security_policy_violation": Action("the content security policy stopped something"),
    "webview_render_process_gone": Action("the process of the web view is gone; a crash only with `did_crash`"),
    "webview_content_process_terminated": Action("iOS took the process of the web view away, mostly for memory"),
    "webview_unclean_restart": Action("the page before was not left properly, as when a user swipes an app away"),
    "webview_dom_content_loaded": Action("the page was read"),
    "webview_page_loaded": Action("the page was loaded"),
}

# Written by the plugin's cloud about its own answers; a device that sends one says nothing about a release.
_CLOUD = {
    name: Action("written by the plugin's cloud about its own answer")
    for name in (
        *("noNew", "missingBundle", "cannotGetBundle", "needPlanUpgrade", "NoChannelOrOverride", "channelMisconfigured"),
        *("disableAutoUpdate", "disableAutoUpdateToMajor", "disableAutoUpdateToMinor", "disableAutoUpdateToPatch"),
        *("disableAutoUpdateMetadata", "disableAutoUpdateUnderNative", "disablePlatformIos", "disablePlatformAndroid"),
        *("disablePlatformElectron", "disableProdBuild", "disableDevBuild", "disableDevice", "disableEmulator"),
        *("cannotUpdateViaPrivateChannel", "keyMismatch", "setChannel", "getChannel", "rateLimited"),
        *("rate_limit_reached", "InvalidIp", "backend_refusal", "customIdBlocked"),
    )
}

ACTIONS: Mapping[str, Action] = MappingProxyType({**_LIFE, **_DOWNLOAD, **_HEALTH, **_CLOUD})
"""Every action that is known, by name."""


def read(value: Mapping[str, Any], plugin: Plugin) -> Told | str:
    """Read what an event tells.

    Args:
        value: The event, an object from outside.
        plugin: The version that sent it.

    Returns:
        What it tells, or why it is not counted: :data:`UNKNOWN_ACTION`, :data:`NO_UPDATE_NOISE` (both are acknowledged), or
        :data:`INVALID_EVENT`. Never raises for what ``value`` holds.
    """
    name = value.get("action")
    if type(name) is not str or not 0 < len(name) <= MAX_ACTION_CHARS:
        return INVALID_EVENT
    action = ACTIONS.get(name)
    if action is None:
        return UNKNOWN_ACTION
    if name in _NOISY and plugin < _FIRST_SILENT.get(plugin[0], (0, 0, 0)):
        return NO_UPDATE_NOISE
    marks = action.marks
    if name == "webview_render_process_gone" and _did_crash(value.get("metadata")):
        marks = Mark.CRASHED
    at = _clock(value.get("timestamp")) if action.is_start or action.is_verified else None
    return Told(marks, at if action.is_start else None, at if action.is_verified else None, action.tells_running)


def is_about_release(version_name: str) -> bool:
    """Tell whether an event's bundle is a release, and not the built-in one or none."""
    return version_name not in {"", BUILTIN}


def _did_crash(metadata: Any) -> bool:
    return type(metadata) is dict and metadata.get("did_crash") == "true"


def _clock(value: Any) -> int | None:
    # Only differences are used, so a clock that is wrong by years does no harm; one that cannot be is not kept.
    return value if type(value) is int and MIN_CLOCK_MS <= value <= MAX_CLOCK_MS else None
