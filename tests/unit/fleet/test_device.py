"""One device, one session after the other, against answers that were written by hand."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from otagate.fleet.config import AutoUpdate, Faults, FleetConfig
from otagate.fleet.diary import Fact
from otagate.fleet.generations import REPRESENTATIVE, generation
from otagate.fleet.run import Fleet
from support.hand_made_server import BASE, UP_TO_DATE, HandMadeServer, offer_of, zipped

APP, START, DAY = "com.example.app", 1_800_000_000.0, 86_400.0
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "capgo-golden.json").read_text())
NEWEST = "8.51.23"


@pytest.fixture
def server() -> HandMadeServer:
    return HandMadeServer()


def fleet_of(server: HandMadeServer, version: str = NEWEST, platform: str = "android", **more: Any) -> Fleet:
    settings = {"killed": 0.0, "sessions_per_day": 6.0, "size": 1, **more}
    config = FleetConfig(APP, BASE, generations={version: 1}, platforms={platform: 1}, **settings)
    return Fleet(config, server, seed=4, start=START)


def run(server: HandMadeServer, version: str = NEWEST, platform: str = "android", *, days: float = 3, **more: Any) -> Fleet:
    fleet = fleet_of(server, version, platform, **more)
    fleet.run_until(START + days * DAY)
    fleet.settle()
    return fleet


def about(server: HandMadeServer, release: str) -> list[str]:
    """Give the actions that name a release, without the daily ones, in order."""
    daily = {"app_moved_to_foreground", "app_moved_to_background", "app_launch_start"}
    return [action for action, version in server.told() if version == release and action not in daily]


DOWNLOAD = ["download_10", "download_40", "download_70"]


@pytest.mark.parametrize("version", REPRESENTATIVE)
@pytest.mark.parametrize("platform", ["android", "ios"])
def test_an_update_in_the_order_of_each_generation(server: HandMadeServer, version: str, platform: str) -> None:
    server.offers("1.2.3")
    fleet, plugin = run(server, version, platform), generation(version)
    worker = plugin.has("worker_events")
    expected = [
        *(["download_zip_start"] if worker else []),
        *DOWNLOAD,
        *(["download_zip_complete"] if worker else []),
        *("download_90", "download_complete"),
        *(["set_next"] if plugin.has("tells_set_next") else []),
        "set",
    ]
    # Older ones also call every check without news a failure of what runs.
    noise = {"app_launch_ready", plugin.failure_action}
    found = [action for action in about(server, "1.2.3") if action not in noise]
    if platform == "android":  # the worker does not wait for the next batch
        found.sort(key=expected.index)
    assert found == expected
    assert fleet.diary.happened("1.2.3")["ready"] == 1
    assert fleet.devices[0].bundles.running == "1.2.3"
    assert fleet.diary.counts("1.2.3")["success"] == 1


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_the_shape_of_events(server: HandMadeServer, version: str) -> None:
    server.offers("1.2.3")
    run(server, version, days=2)
    plugin = generation(version)
    worker = {"download_zip_start", "download_zip_complete"}
    for _method, what, body in server.requests:
        if what != "stats":
            assert body["version_name"] in {"1.2.3", "1.0.0" if plugin.has("builtin_is_native") else "builtin"}
            continue
        single = body if isinstance(body, dict) else None
        assert (single is None) == (plugin.has("batches") and (single is None or single["action"] not in worker))
        for event in [single] if single else body:
            assert event["app_id"] == APP
            assert event["plugin_version"] == version
            assert "old_version_name" in event
            is_timed = plugin.has("batches") and event["action"] not in worker
            assert ("timestamp" in event) == is_timed


def test_the_bundle_is_set_when_the_app_goes_to_the_background(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    run(server)
    actions = [action for action, _version in server.told()]
    assert actions.index("set_next") < actions.index("app_moved_to_background") < actions.index("set")


def test_or_at_once(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    run(server, auto_update=AutoUpdate.ALWAYS)
    actions = [action for action, _version in server.told()]
    assert "set_next" not in actions
    assert actions.index("set") < actions.index("app_moved_to_background")


def test_or_never(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    fleet = run(server, auto_update=AutoUpdate.ONLY_DOWNLOAD)
    assert not {"set", "set_next"} & {action for action, _version in server.told()}
    assert fleet.diary.happened("1.2.3")["downloaded"] == 1


def test_a_bundle_that_is_there_is_not_fetched_again(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    run(server, auto_update=AutoUpdate.ONLY_DOWNLOAD, days=5)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_a_release_that_does_not_start_is_rolled_back_and_never_tried_again(server: HandMadeServer, version: str) -> None:
    server.offers("1.2.3")
    fleet = run(server, version, other_faults=Faults(boot=1.0), days=5)
    counts, happened = fleet.diary.counts("1.2.3"), fleet.diary.happened("1.2.3")
    assert (counts["boot"], counts["success"], happened["boot"], happened["ready"]) == (1, 0, 1, 0)
    assert about(server, "1.2.3").count("set") == 1
    assert about(server, "1.2.3").count("update_fail") == 1
    assert fleet.devices[0].bundles.running == "builtin"
    assert len(server.ranges) == 1
    own = "1.0.0" if generation(version).has("builtin_is_native") else "builtin"
    # The plugin calls every later offer of a version that failed a failed download of what runs.
    assert (generation(version).failure_action, own) in server.told()


def test_the_last_good_release_runs_again(server: HandMadeServer) -> None:
    server.offers("1.0.1")
    fleet = fleet_of(server, faults={"2.0.0": Faults(boot=1.0)})
    fleet.run_until(START + 2 * DAY)
    assert fleet.devices[0].bundles.running == "1.0.1"
    server.offers("2.0.0")
    fleet.run_until(START + 4 * DAY)
    fleet.settle()
    assert fleet.devices[0].bundles.running == "1.0.1"
    assert fleet.devices[0].bundles.is_proven
    at = server.told().index(("update_fail", "2.0.0"))
    assert server.told()[at : at + 3] == [("update_fail", "2.0.0"), ("set", "1.0.1"), ("delete", "2.0.0")]
    assert fleet.diary.counts("1.0.1")["success"] == 1


def test_killed_before_it_is_judged_a_bundle_is_judged_at_the_next_start(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    fleet = run(server, killed=1.0, other_faults=Faults(boot=1.0), days=5)
    told = server.told()
    assert (
        told.index(("app_launch_start", "1.2.3"))
        < told.index(("app_launch_timeout", "1.2.3"))
        < told.index(("update_fail", "1.2.3"))
    )
    # It was seen running before it was rolled back: the failed boot outweighs that.
    assert fleet.diary.counts("1.2.3")["boot"] == 1


def test_launches_are_told_once_a_process(server: HandMadeServer) -> None:
    run(server, killed=1.0, days=2)
    actions = [action for action, _version in server.told()]
    opened = actions.count("app_moved_to_foreground")
    assert opened > 5
    assert actions.count("app_launch_start") == actions.count("app_launch_ready") == opened
    other = HandMadeServer()
    run(other, killed=0.0, days=2)
    actions = [action for action, _version in other.told()]
    assert (actions.count("app_launch_start"), actions.count("app_launch_ready")) == (1, 1)


@pytest.mark.parametrize(("version", "told"), [(NEWEST, True), ("8.46.0", True), ("8.45.11", False), ("7.28.0", False)])
def test_crashes_are_told_at_the_next_start(server: HandMadeServer, version: str, told: bool) -> None:
    server.offers("1.2.3")
    fleet = run(server, version, other_faults=Faults(crash=1.0, error=1.0), days=3)
    happened, counts = fleet.diary.happened("1.2.3"), fleet.diary.counts("1.2.3")
    assert happened["crashed"] == happened["errored"] == 1
    assert ("app_crash" in about(server, "1.2.3")) == told
    assert ("webview_javascript_error" in about(server, "1.2.3")) == told
    assert (counts["crashed"], counts["errored"]) == (int(told), int(told))


def test_some_crash_only_after_a_while(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    fleet = fleet_of(server, other_faults=Faults(crash=1.0, late_crash_after=3 * DAY))
    fleet.run_until(START + 2.5 * DAY)
    assert fleet.diary.happened("1.2.3")["crashed"] == 0
    fleet.run_until(START + 6 * DAY)
    assert fleet.diary.happened("1.2.3")["crashed"] == 1


@pytest.mark.parametrize("version", REPRESENTATIVE)
@pytest.mark.parametrize("platform", ["android", "ios"])
def test_a_bundle_with_other_bytes_is_not_installed(server: HandMadeServer, version: str, platform: str) -> None:
    server.offers("1.2.3")
    fleet = run(server, version, platform, other_faults=Faults(integrity=1.0), days=2)
    own = "1.0.0" if generation(version).has("builtin_is_native") else "builtin"
    told = server.told()
    assert fleet.diary.happened("1.2.3")["integrity"] == 1
    assert fleet.diary.counts("1.2.3")["integrity"] == 1
    if platform == "ios":
        assert ("checksum_fail", "1.2.3") in told
    else:
        at = told.index(("checksum_fail", own))
        assert told[at : at + 3] == [("checksum_fail", own), ("download_fail", own), ("finish_download_fail", "1.2.3")]
    assert "set" not in about(server, "1.2.3")


@pytest.mark.parametrize("platform", ["android", "ios"])
def test_a_zip_that_is_none(server: HandMadeServer, platform: str) -> None:
    data = b"no zip"
    server.blobs[f"{BASE}/1.2.3.zip"] = data
    server.update = offer_of("1.2.3", data)
    run(server, NEWEST, platform, days=1)
    assert ("unzip_fail", "1.0.0") in server.told()
    assert (("finish_download_fail", "1.2.3") in server.told()) == (platform == "android")


def test_a_bundle_without_a_start_page_is_not_set(server: HandMadeServer) -> None:
    server.offers("1.2.3", {"main.js": b"x", "other.js": b"y"})
    fleet = run(server, days=1)
    assert about(server, "1.2.3")[-1] == "set_fail"
    assert fleet.diary.happened("1.2.3")["integrity"] == 1
    assert fleet.devices[0].bundles.running == "builtin"


@pytest.mark.parametrize(("platform", "named"), [("android", "1.2.3"), ("ios", "1.0.0")])
def test_a_download_that_is_not_there_fails_and_is_tried_again_later(server: HandMadeServer, platform: str, named: str) -> None:
    server.update = offer_of("1.2.3", zipped())
    fleet = run(server, NEWEST, platform, days=2)
    assert ("download_fail", named) in server.told()
    assert len(server.ranges) > 3
    assert fleet.diary.happened("1.2.3")["network"] == 1
    assert fleet.diary.counts("1.2.3")["network"] == (1 if platform == "android" else 0)
    server.offers("1.2.3")
    fleet.run_until(START + 4 * DAY)
    assert fleet.devices[0].bundles.running == "1.2.3"


@pytest.mark.parametrize(("version", "tries"), [(NEWEST, 4), ("8.51.14", 1), ("7.0.50", 1)])
def test_newer_plugins_go_on_where_a_download_was_cut(server: HandMadeServer, version: str, tries: int) -> None:
    server.offers("1.2.3")
    server.download_status = [503, 429, 500]
    fleet = fleet_of(server, version, period_s=0, sessions_per_day=1.0)
    while not server.ranges:
        fleet.run_until(fleet.now + 60)
    fleet.run_until(fleet.now + 900)
    assert len(server.ranges) == tries


def test_a_cut_download_begins_where_it_ended(server: HandMadeServer) -> None:
    server.offers("1.2.3")
    fleet = run(server, loss=0.3, size=40, days=1)
    assert any(start > 0 for start in server.ranges)
    assert fleet.diary.happened("1.2.3")["integrity"] == 0
    assert fleet.diary.happened("1.2.3")["ready"] > 30
    again = HandMadeServer(knows_ranges=False)
    again.offers("1.2.3")
    fleet = run(again, loss=0.3, size=40, days=1)
    assert fleet.diary.happened("1.2.3")["integrity"] == 0


def sealed_offer(version: str, **changes: Any) -> dict[str, Any]:
    name = "checksum_v3_hex" if generation(version).has("hex_checksum") else "checksum_v2_b64"
    answer = {"version": "1.2.3", "url": f"{BASE}/s.zip", "session_key": GOLDEN["iv_session_key"], "checksum": GOLDEN[name]}
    return {**answer, **changes}


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_sealed_bundles_are_installed(server: HandMadeServer, version: str) -> None:
    server.blobs[f"{BASE}/s.zip"] = base64.b64decode(GOLDEN["ciphertext_b64"])
    server.update = sealed_offer(version)
    fleet = run(server, version, public_key=GOLDEN["public_pem"], days=2)
    assert fleet.diary.happened("1.2.3")["ready"] == 1
    asked = server.requests[0][2] if server.requests[0][1] == "updates" else server.requests[1][2]
    assert asked.get("key_id") == (GOLDEN["key_id"] if generation(version).has("tells_key_id") else None)


@pytest.mark.parametrize("platform", ["android", "ios"])
@pytest.mark.parametrize(
    ("missing", "public_key", "action"),
    [("session_key", GOLDEN["public_pem"], "session_key_required"), ("checksum", None, "checksum_required")],
)
def test_the_newest_does_not_even_fetch_what_is_not_whole(
    server: HandMadeServer, platform: str, missing: str, public_key: str | None, action: str
) -> None:
    server.update = sealed_offer(NEWEST, **{missing: ""})
    fleet = run(server, NEWEST, platform, public_key=public_key, days=1)
    assert server.ranges == []
    assert about(server, "1.2.3")[0] == action
    assert fleet.diary.happened("1.2.3")["refused"] == 1
    assert fleet.diary.counts("1.2.3")["integrity"] == 1


@pytest.mark.parametrize("version", [NEWEST, "8.45.11", "7.28.0", "7.0.50"])
@pytest.mark.parametrize("kind", ["up_to_date", "blocked", "failed"])
def test_refusals(server: HandMadeServer, version: str, kind: str) -> None:
    server.update = {"error": "x", "message": "y", "kind": kind, "version": "9.9.9"}
    run(server, version, days=1)
    plugin = generation(version)
    is_told = kind == "failed" if plugin.has("reads_kind") else not plugin.has("quiet_refusals")
    assert (("download_fail", "1.0.0" if plugin.has("builtin_is_native") else "builtin") in server.told()) == is_told
    assert server.ranges == []


@pytest.mark.parametrize("mode", [AutoUpdate.AT_BACKGROUND, AutoUpdate.ALWAYS])
def test_the_server_sends_a_device_back_to_its_built_in_bundle(server: HandMadeServer, mode: AutoUpdate) -> None:
    server.offers("1.2.3")
    fleet = fleet_of(server, auto_update=mode)
    fleet.run_until(START + 2 * DAY)
    assert fleet.devices[0].bundles.running == "1.2.3"
    server.update = lambda body: dict(UP_TO_DATE) if body["version_name"] == "1.0.0" else {"version": "builtin"}
    fleet.run_until(START + 4 * DAY)
    fleet.settle()
    assert fleet.devices[0].bundles.running == "builtin"
    assert ("reset", "1.0.0") in server.told()


def manifest(contents: dict[str, bytes], server: HandMadeServer) -> list[dict[str, str]]:
    entries = []
    for name, content in contents.items():
        url = f"{BASE}/f/{name}"
        server.blobs[url] = brotli.compress(content) if name.endswith(".br") else content
        entries.append({"file_name": name, "file_hash": hashlib.sha256(content).hexdigest(), "download_url": url})
    return entries


def test_a_manifest_is_installed_and_only_new_files_are_fetched(server: HandMadeServer) -> None:
    contents = {"index.html": b"<p>", "main.js.br": b"x" * 9000}
    server.update = offer_of("1.0.1", b"", manifest=manifest(contents, server))
    fleet = fleet_of(server)
    fleet.run_until(START + 2 * DAY)
    assert fleet.devices[0].bundles.running == "1.0.1"
    assert len(server.ranges) == 2
    assert about(server, "1.0.1")[0] == "download_manifest_start"
    server.update = offer_of("1.0.2", b"", manifest=manifest({**contents, "index.html": b"<p>2"}, server))
    fleet.run_until(START + 4 * DAY)
    fleet.settle()
    assert fleet.devices[0].bundles.running == "1.0.2"
    assert len(server.ranges) == 3
    assert "download_manifest_complete" in about(server, "1.0.2")


@pytest.mark.parametrize(
    ("spoil", "actions", "fact"),
    [
        ("missing", ["download_manifest_file_fail"], Fact.NETWORK),
        ("changed", ["download_manifest_checksum_fail", "download_manifest_file_fail"], Fact.INTEGRITY),
        ("brotli", ["download_manifest_brotli_fail", "download_manifest_file_fail"], Fact.INTEGRITY),
        ("path", ["manifest_path_fail"], Fact.INTEGRITY),
        ("hash", [], Fact.INTEGRITY),
    ],
)
def test_one_bad_file_fails_the_whole(server: HandMadeServer, spoil: str, actions: list[str], fact: Fact) -> None:
    entries = manifest({"index.html": b"<p>", "main.js.br": b"x" * 9000}, server)
    if spoil == "missing":
        del server.blobs[entries[1]["download_url"]]
    elif spoil == "changed":
        server.blobs[entries[0]["download_url"]] = b"other"
    elif spoil == "brotli":
        server.blobs[entries[1]["download_url"]] = b"no brotli"
    elif spoil == "path":
        entries[0]["file_name"] = "../index.html"
    else:
        entries[0]["file_hash"] = ""
    server.update = offer_of("1.0.1", b"", manifest=entries)
    fleet = run(server, days=0.5)
    files = [action for action, version in server.told() if version.startswith("1.0.1:")]
    assert files[: len(actions)] == actions
    assert ("download_fail", "1.0.1") in server.told()
    assert fleet.diary.happened("1.0.1")[str(fact.name).lower()] == 1
    assert fleet.devices[0].bundles.running == "builtin"


def test_checks_go_on_while_the_app_is_open(server: HandMadeServer) -> None:
    fleet_of(server, period_s=1, session_s=40_000, sessions_per_day=0.5).run_until(START + 10 * DAY)
    asked = sum(what == "updates" for _method, what, _body in server.requests)
    opened = sum(action == "app_moved_to_foreground" for action, _version in server.told())
    assert asked > 5 * opened


def test_a_device_that_is_told_to_wait_asks_nobody(server: HandMadeServer) -> None:
    server.update_status, server.update = 429, {"error": "on_premise_app", "message": "no", "kind": "failed"}
    server.headers = {"retry-after": "86400"}
    run(server, sessions_per_day=24.0, days=0.9)
    assert sum(what == "updates" for _method, what, _body in server.requests) == 1


def test_no_answer_is_told_when_there_is_one_again(server: HandMadeServer) -> None:
    server.is_dead = True
    fleet = run(server, days=1)
    assert fleet.diary.answers == []
    assert not fleet.diary.is_exact("1.0.0")
    server.is_dead = False
    del server.requests[:]
    fleet.settle()
    assert ("download_fail", "1.0.0") in server.told()


def test_clocks_are_wrong(server: HandMadeServer) -> None:
    fleet = run(server, skew_s=3600.0, days=1)
    skew = fleet.devices[0].profile.skew_s
    first = server.events()[0]
    opened = next(at for at, _name in enumerate(server.told()) if _name[0] == "app_moved_to_foreground")
    assert abs(skew) > 1
    assert first["timestamp"] == server.events()[opened]["timestamp"]
    assert START + skew <= first["timestamp"] / 1000 <= START + DAY + skew
