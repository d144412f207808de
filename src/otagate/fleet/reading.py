"""What an event says about a release on a device: the fleet's own reading, to hold the server's counters against.

It is written from what the marks of ``otagate.telemetry.model`` mean and from what the plugin does when it sends each event,
not from the server's code; a test holds the two tables against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag

from otagate.fleet.generations import Generation, generation


class Told(IntFlag):
    """What a server can know about a release on a device."""

    OFFERED = 1
    STARTED = 2
    VERIFIED = 4
    SET = 8
    READY = 16
    RAN = 32
    NETWORK = 64
    INTEGRITY = 128
    BOOT = 256
    REFUSAL = 512
    CRASHED = 1024
    ERRORED = 2048


NOTHING = Told(0)
ACTIONS: Mapping[str, Told] = {
    "download_zip_start": Told.STARTED,
    "download_manifest_start": Told.STARTED,
    "download_zip_complete": Told.STARTED,
    "download_manifest_complete": Told.STARTED,
    **{f"download_{percent}": Told.STARTED for percent in range(0, 100, 10)},
    "download_complete": Told.STARTED | Told.VERIFIED,
    "set_next": Told.VERIFIED,
    "set": Told.SET,
    "app_launch_ready": Told.READY,
    "app_moved_to_foreground": Told.RAN,
    "app_moved_to_background": Told.RAN,
    "download_fail": Told.NETWORK,
    "download_manifest_file_fail": Told.NETWORK,
    "finish_download_fail": Told.INTEGRITY,
    "checksum_fail": Told.INTEGRITY,
    "decrypt_fail": Told.INTEGRITY,
    "unzip_fail": Told.INTEGRITY,
    "windows_path_fail": Told.INTEGRITY,
    "canonical_path_fail": Told.INTEGRITY,
    "directory_path_fail": Told.INTEGRITY,
    "manifest_path_fail": Told.INTEGRITY,
    "download_manifest_checksum_fail": Told.INTEGRITY,
    "download_manifest_brotli_fail": Told.INTEGRITY,
    "set_fail": Told.INTEGRITY,
    "update_fail": Told.BOOT,
    "app_launch_timeout": Told.BOOT,
    "low_mem_fail": Told.REFUSAL,
    "insufficient_disk_space": Told.REFUSAL,
    # The fault of whoever made the answer, not of the device.
    "checksum_required": Told.INTEGRITY,
    "session_key_required": Told.INTEGRITY,
    "app_crash": Told.CRASHED,
    "app_crash_native": Told.CRASHED,
    "webview_javascript_error": Told.ERRORED,
}
"""Every action that a virtual device sends and that says something."""
STARTS = frozenset({"download_zip_start", "download_manifest_start", "download_0", "download_10"})
"""Actions whose time is one at which a download began, or nearly."""
VERIFIED = "download_complete"
"""The action whose time is when the bundle was checked."""
_QUIET_SINCE = {5: (50, 1), 6: (27, 10), 7: (28, 0), 8: (0, 0)}


def told(action: str, plugin: str) -> Told:
    """Give what an action says.

    Older generations call an update check that found nothing a failed download: what they say of failed downloads is not
    to be believed.
    """
    if action == "download_fail" and not _is_believed(generation(plugin)):
        return NOTHING
    return ACTIONS.get(action, NOTHING)


def _is_believed(plugin: Generation) -> bool:
    major, minor, patch = map(int, plugin.version.split("."))
    return (minor, patch) >= _QUIET_SINCE[major]


def release_of(version_name: str) -> str:
    """Give the release of ``<version>:<path>`` or ``<version>``."""
    return version_name.split(":", 1)[0]


def outcome(marks: Told) -> str:
    """Give what came of it: a failed boot outweighs all, then success, then integrity, refusal and the network."""
    if marks & Told.BOOT:
        return "boot"
    if marks & (Told.READY | Told.RAN):
        return "success"
    for mark, name in ((Told.INTEGRITY, "integrity"), (Told.REFUSAL, "refusal"), (Told.NETWORK, "network")):
        if marks & mark:
            return name
    return "pending"
