from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.server import events
from otagate.server.events import ACTIONS, INVALID_EVENT, NO_UPDATE_NOISE, UNKNOWN_ACTION, Told
from otagate.telemetry.model import NOTHING, Mark

NOW_MS = 1_770_000_000_000
NEW = (8, 51, 23)


def told(action: Any, **more: Any) -> Told | str:
    return events.read({"action": action, "timestamp": NOW_MS, **more}, more.pop("plugin", NEW))


def marks(action: str, **more: Any) -> Mark:
    event = told(action, **more)
    assert isinstance(event, Told)
    return event.marks


# Typed from the plugin's sources and its cloud's list; what each says about a release.
SAYS = {
    Mark.STARTED: "download_zip_start download_manifest_start download_0 download_10 download_50 download_90 download_zip_complete "
    "download_manifest_complete",
    Mark.STARTED | Mark.VERIFIED: "download_complete",
    Mark.VERIFIED: "set_next",
    Mark.SET: "set",
    Mark.READY: "app_launch_ready",
    Mark.RAN: "app_moved_to_foreground app_moved_to_background",
    Mark.NETWORK: "download_fail download_manifest_file_fail",
    Mark.INTEGRITY: "finish_download_fail download_manifest_checksum_fail download_manifest_brotli_fail manifest_path_fail checksum_fail "
    "checksum_required session_key_required decrypt_fail unzip_fail windows_path_fail canonical_path_fail directory_path_fail set_fail",
    Mark.BOOT: "update_fail app_launch_timeout",
    Mark.REFUSAL: "low_mem_fail insufficient_disk_space",
    Mark.CRASHED: "app_crash app_crash_native app_anr app_initialization_failure app_killed_excessive_resource_usage",
    Mark.ERRORED: "webview_javascript_error webview_unhandled_rejection",
    NOTHING: "reset delete blocked_by_server_url ping get uninstall app_launch_start app_killed_low_memory app_memory_warning "
    "webview_resource_error webview_security_policy_violation webview_unclean_restart webview_render_process_gone "
    "webview_content_process_terminated webview_dom_content_loaded webview_page_loaded os_version_changed native_app_version_changed "
    "app_nav noNew missingBundle cannotGetBundle needPlanUpgrade NoChannelOrOverride channelMisconfigured keyMismatch setChannel "
    "getChannel rateLimited rate_limit_reached InvalidIp backend_refusal customIdBlocked",
}
SAID = [(action, mark) for mark, names in SAYS.items() for action in names.split()]


@pytest.mark.parametrize(("action", "expected"), SAID)
def test_what_an_action_says(action: str, expected: Mark) -> None:
    assert marks(action) == expected


def test_the_table_has_no_action_that_is_not_checked() -> None:
    unchecked = set(ACTIONS) - {action for action, _ in SAID}
    assert all(name.startswith(("disable", "download_", "cannotUpdate")) for name in unchecked), unchecked
    assert {name for name in unchecked if name.startswith("download_")} == {f"download_{n}" for n in (20, 30, 40, 60, 70, 80)}


def test_every_action_is_described_and_could_be_sent() -> None:
    assert all(action.description and not action.description.endswith(".") for action in ACTIONS.values())
    assert all(re.fullmatch(r"[A-Za-z0-9_]{1,64}", name) for name in ACTIONS)


@pytest.mark.parametrize(
    "action", ["set", "reset", "app_launch_start", "app_launch_ready", "app_moved_to_foreground", "app_moved_to_background"]
)
def test_these_tell_what_runs(action: str) -> None:
    event = told(action)
    assert isinstance(event, Told)
    assert event.tells_running


@pytest.mark.parametrize("action", ["update_fail", "app_crash", "download_complete", "set_next", "delete"])
def test_these_do_not_tell_what_runs(action: str) -> None:
    event = told(action)
    assert isinstance(event, Told)
    assert not event.tells_running


def test_only_marks_of_a_running_bundle_are_a_success() -> None:
    succeeding = {name for name, action in ACTIONS.items() if action.marks & (Mark.READY | Mark.RAN)}
    assert succeeding == {"app_launch_ready", "app_moved_to_foreground", "app_moved_to_background"}


@pytest.mark.parametrize(
    ("action", "started", "verified"),
    [
        ("download_zip_start", NOW_MS, None),
        ("download_10", NOW_MS, None),
        ("download_20", None, None),
        ("download_complete", None, NOW_MS),
        ("set", None, None),
        ("download_zip_complete", None, None),
    ],
)
def test_times_of_the_devices_clock(action: str, started: int | None, verified: int | None) -> None:
    event = told(action)
    assert isinstance(event, Told)
    assert (event.started_ms, event.verified_ms) == (started, verified)


@pytest.mark.parametrize(
    "timestamp", [None, 0, -1, 1, 946_684_799_999, 4_102_444_800_001, 2**70, 1.5e12, True, "1770000000000", [], float("nan")]
)
def test_a_clock_that_cannot_be_is_not_kept(timestamp: Any) -> None:
    event = told("download_complete", timestamp=timestamp)
    assert isinstance(event, Told)
    assert event.verified_ms is None
    assert event.marks == Mark.STARTED | Mark.VERIFIED


@pytest.mark.parametrize(
    ("plugin", "is_noise"),
    [
        ((5, 9, 5), True), ((5, 50, 1), False), ((6, 14, 25), True), ((6, 27, 9), True), ((6, 27, 10), False), ((7, 8, 1), True), ((7, 23, 4), True),
        ((7, 27, 9), True), ((7, 28, 0), False), ((8, 0, 0), False), ((8, 51, 23), False), ((9, 0, 0), True), ((10, 0, 0), True), ((9, 0, 1), False),
    ],
)  # fmt: skip
def test_no_update_reported_as_a_failure_is_noise(plugin: tuple[int, int, int], is_noise: bool) -> None:
    for action in ("download_fail", "backend_refusal"):
        assert (told(action, plugin=plugin) == NO_UPDATE_NOISE) is is_noise
    assert isinstance(told("finish_download_fail", plugin=plugin), Told)
    assert isinstance(told("update_fail", plugin=plugin), Told)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"did_crash": "true"}, Mark.CRASHED),
        ({"did_crash": "false"}, NOTHING),
        ({}, NOTHING),
        (None, NOTHING),
        ("true", NOTHING),
        ({"did_crash": True}, NOTHING),
    ],
)
def test_a_render_process_that_is_gone_has_crashed_only_when_it_says_so(metadata: Any, expected: Mark) -> None:
    assert marks("webview_render_process_gone", metadata=metadata) == expected


@pytest.mark.parametrize("action", ["", None, 7, True, [], {}, "x" * 65])
def test_no_action_is_no_event(action: Any) -> None:
    assert told(action) == INVALID_EVENT


@pytest.mark.parametrize("action", ["new_in_plugin_9", "SET", " set", "\x00", "__class__"])
def test_an_unknown_action_is_named_so(action: str) -> None:
    assert told(action) == UNKNOWN_ACTION


@pytest.mark.parametrize(("version", "expected"), [("1.2.3", True), ("builtin", False), ("", False), ("anything", True)])
def test_which_bundles_are_releases(version: str, expected: bool) -> None:
    assert events.is_about_release(version) is expected


@given(
    st.dictionaries(
        st.sampled_from(["action", "timestamp", "metadata"]),
        st.none() | st.integers() | st.text() | st.floats() | st.lists(st.integers()) | st.sampled_from(sorted(ACTIONS)),
    )
)
def test_nothing_raises(value: dict[str, Any]) -> None:
    event = events.read(value, NEW)
    assert isinstance(event, Told) or event in {INVALID_EVENT, UNKNOWN_ACTION, NO_UPDATE_NOISE}
