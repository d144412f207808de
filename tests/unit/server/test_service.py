from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.model import Digest
from otagate.policy.model.server import ChannelRules
from otagate.server.interface import Assign, Reply
from otagate.telemetry.model import NOTHING, Mark, Observation, Outcome, Progress
from support.asked import BASE, DEVICE, NOW, World, channel, hash_device, info, release, view

KEY = hash_device("com.example.app", DEVICE)
NOW_MS = 1_770_000_000_000
OPEN = ChannelRules(self_set=True)
CHANNELS = view(
    channel("stable", "1.2.0", "1.3.0", 10_000),
    channel("beta", "1.4.0"),
    channel("private", "1.5.0"),
    rules={"beta": OPEN, "unread": OPEN},
)
OLD_PLUGIN = "7.33.0"


def updates(world: World, **changes: Any) -> Reply:
    return world.service.updates(info(**changes), NOW, BASE)


def event(action: Any, version: Any = "1.2.0", **changes: Any) -> dict[str, Any]:
    return info(action=action, version_name=version, old_version_name="", timestamp=NOW_MS, **changes)


def stats(world: World, body: Any) -> Reply:
    return world.service.stats(body, NOW)


def only(reply: Reply) -> Observation:
    assert len(reply.observations) == 1
    return reply.observations[0]


def test_an_update_is_offered() -> None:
    reply = updates(World(view()))
    blob = Digest.of(b"1.2.0").hex
    assert (reply.status, reply.note, reply.must_record, reply.assign) == (200, "update", False, None)
    assert reply.body == {"version": "1.2.0", "url": f"{BASE}/bundles/sha256/{blob}", "session_key": "iv:key", "checksum": "ab"}
    seen = only(reply)
    assert (seen.release, seen.marks, seen.at, seen.weight_bps) == ("1.2.0", Mark.OFFERED, NOW, 10_000)
    assert (seen.running, seen.target) == ("builtin", "1.2.0")
    facts = seen.device
    assert (facts.app, facts.key, facts.platform, facts.plugin) == ("com.example.app", KEY, "android", "8.51.23")
    assert (facts.channel, facts.is_test, facts.native) == ("stable", False, "1.0.0")


def test_the_weight_of_a_candidate_is_kept() -> None:
    seen = only(updates(World(view(channel("stable", "1.2.0", "1.3.0", 9_999)))))
    assert (seen.release, seen.weight_bps) == ("1.3.0", 9_999)


def test_a_check_shows_that_the_running_release_runs() -> None:
    app = view(channel("stable", "1.2.0", "1.3.0", 9_999), known=frozenset({"1.1.0"}))
    offered, ran = updates(World(app), version_name="1.1.0").observations
    assert (offered.release, offered.marks, offered.running) == ("1.3.0", Mark.OFFERED, "1.1.0")
    assert (ran.release, ran.marks, ran.weight_bps, ran.target) == ("1.1.0", Mark.RAN, 0, "1.3.0")
    up_to_date = updates(World(app), version_name="1.3.0")
    assert up_to_date.body["kind"] == "up_to_date"
    assert (only(up_to_date).release, only(up_to_date).marks, only(up_to_date).weight_bps) == ("1.3.0", Mark.RAN, 9_999)


def test_a_check_of_the_built_in_bundle_tells_what_runs_and_no_release() -> None:
    seen = only(updates(World(view(channel("stable", None)))))
    assert (seen.release, seen.marks, seen.running, seen.target) == ("", NOTHING, "builtin", "builtin")


def test_a_version_that_this_server_never_served_is_not_told_on() -> None:
    reply = updates(World(view()), version_name="6.6.6-made-up")
    assert only(reply).running is None
    assert updates(World(view(releases=())), version_name="6.6.6-made-up").observations == []


def test_back_to_the_built_in_bundle() -> None:
    reply = updates(World(view(channel("stable", None), known=frozenset({"1.1.0"}))), version_name="1.1.0")
    assert (reply.status, reply.body, reply.note) == (200, {"version": "builtin"}, "builtin")
    assert (only(reply).marks, only(reply).target) == (Mark.RAN, "builtin")


def test_a_refusal_is_a_200_with_all_three_and_no_offer() -> None:
    reply = updates(World(view(releases=())))
    assert reply.status == 200
    assert {name: reply.body[name] for name in ("error", "kind")} == {"error": "misconfigured_channel", "kind": "failed"}
    assert reply.note == "misconfigured_channel"
    assert (only(reply).marks, only(reply).release) == (NOTHING, "")


def test_no_address_for_the_bundle_is_a_failure_and_no_offer() -> None:
    world = World(view())
    world.has_links = False
    reply = updates(world)
    assert (reply.status, reply.body["error"], reply.body["kind"]) == (200, "no_bundle_url", "failed")
    assert only(reply).marks == NOTHING


@pytest.mark.parametrize(("changes", "is_test"), [({}, False), ({"is_emulator": True}, True), ({"is_prod": False}, True)])
def test_emulators_and_development_builds_are_counted_apart(changes: dict[str, Any], is_test: bool) -> None:
    assert only(updates(World(view()), **changes)).device.is_test is is_test


def test_a_long_native_version_is_cut_for_telemetry() -> None:
    assert only(updates(World(view()), version_build="1.0.0-" + "a" * 60)).device.native == "1.0.0-" + "a" * 30


def test_an_override_wins_over_what_the_device_says() -> None:
    world = World(CHANNELS)
    world.overrides[KEY] = "private"
    assert updates(world, defaultChannel="beta").body["version"] == "1.5.0"
    assert updates(world, defaultChannel="beta", device_id=DEVICE.upper()).body["version"] == "1.5.0"


@pytest.mark.parametrize("app_id", ["com.example.other", "com.example.App", "com_example.app", "com.example.app2"])
def test_an_app_that_is_not_served(app_id: str) -> None:
    world = World(view())
    channels = [world.service.channel_self(method, info(app_id=app_id), NOW) for method in ("POST", "PUT")]
    listed = world.service.channel_self("GET", info(app_id=app_id, is_prod="true", is_emulator="false"), NOW)
    for reply in (
        updates(world, app_id=app_id),
        stats(world, event("set", app_id=app_id)),
        stats(world, [event("set", app_id=app_id)]),
        *channels,
        listed,
    ):
        assert (reply.status, reply.body["error"], reply.retry_after_s) == (429, "on_premise_app", 300)
        assert not reply.observations


def test_an_app_that_could_not_be_read_yet_is_answered_later() -> None:
    world = World(None)
    world.unread = info()["app_id"]
    told = (
        updates(world),
        stats(world, event("set")),
        stats(world, [event("set")]),
        world.service.channel_self("PUT", info(), NOW),
    )
    assert {(reply.status, reply.body["error"], reply.retry_after_s) for reply in told} == {(503, "unavailable", 30)}


# --- /stats


def test_one_event() -> None:
    reply = stats(World(view()), event("download_complete"))
    assert (reply.status, reply.body, reply.must_record, reply.refused) == (200, {"status": "ok"}, True, {})
    seen = only(reply)
    assert (seen.release, seen.marks) == ("1.2.0", Mark.STARTED | Mark.VERIFIED)
    assert (seen.started_ms, seen.verified_ms, seen.weight_bps) == (None, NOW_MS, 10_000)
    assert (seen.running, seen.target, seen.device.channel, seen.device.key) == (None, None, "stable", KEY)


def test_an_event_of_a_file_is_about_its_bundle() -> None:
    assert only(stats(World(view()), event("download_manifest_file_fail", "1.2.0:assets/app.js"))).marks == Mark.NETWORK


def test_an_event_tells_what_runs() -> None:
    assert only(stats(World(view()), event("app_launch_ready"))).running == "1.2.0"
    seen = only(stats(World(view()), event("reset", "builtin")))
    assert (seen.release, seen.marks, seen.running) == ("", NOTHING, "builtin")


def test_set_says_nothing_about_the_bundle_before() -> None:
    reply = stats(World(view(known=frozenset({"1.1.0"}))), {**event("set"), "old_version_name": "1.1.0"})
    assert [seen.release for seen in reply.observations] == ["1.2.0"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event("download_complete", "6.6.6"), "unknown_release"), (event("set", "not a version"), "unknown_release"),
        (event("new_in_plugin_9"), "unknown_action"), (event("download_fail", plugin_version="7.20.0"), "no_update_noise"),
    ],
)  # fmt: skip
def test_what_is_not_counted_is_acknowledged_and_named(body: dict[str, Any], reason: str) -> None:
    single, batch = stats(World(view()), body), stats(World(view()), [body, body])
    assert (single.status, single.body, single.refused, single.must_record) == (200, {"status": "ok"}, {reason: 1}, False)
    assert (batch.status, [item["status"] for item in batch.body["results"]], batch.refused) == (200, ["ok", "ok"], {reason: 2})
    assert not single.observations
    assert not batch.observations


@pytest.mark.parametrize(
    "body", [event("ping"), event("app_crash", "builtin"), event("download_fail", ""), event("get", "builtin")]
)
def test_what_says_nothing_is_acknowledged_and_needs_no_row(body: dict[str, Any]) -> None:
    reply = stats(World(view()), body)
    batch = stats(World(view()), [body])
    assert (reply.status, reply.observations, reply.refused) == (200, (), {})
    assert (batch.body["results"], batch.observations, batch.refused) == ([{"status": "ok", "index": 0}], (), {})


@pytest.mark.parametrize(
    "body", [None, 7, "x", {}, event(None), event(""), event(7), event("set", platform="web"), event("set", 7)]
)
def test_what_is_no_event_is_a_400(body: Any) -> None:
    reply = stats(World(view()), body)
    assert (reply.status, set(reply.body)) == (400, {"error", "message"})
    assert reply.refused == {"invalid_event": 1}


def test_a_batch_gives_each_event_its_result() -> None:
    body = [
        event("set"),
        "junk",
        event("app_launch_ready"),
        event(None),
        event("set", app_id="com.example.other"),
        event("nonsense"),
    ]
    reply = stats(World(view()), body)
    assert reply.status == 200
    assert reply.body["status"] == "ok"
    results = [(item["index"], item["status"], item.get("error")) for item in reply.body["results"]]
    assert results == [
        (0, "ok", None),
        (1, "error", "invalid_request"),
        (2, "ok", None),
        (3, "error", "missing_action"),
        (4, "error", "invalid_request"),
        (5, "ok", None),
    ]
    assert reply.refused == {"invalid_event": 2, "mixed_apps": 1, "unknown_action": 1}
    assert [seen.marks for seen in reply.observations] == [Mark.SET, Mark.READY]
    assert reply.must_record


def test_a_batch_is_of_one_device() -> None:
    reply = stats(
        World(view()),
        [event("set"), event("set", device_id=DEVICE.upper()), event("set", device_id="00000000-0000-4000-8000-00000000beef")],
    )
    assert [result["status"] for result in reply.body["results"]] == ["ok", "ok", "error"]
    assert reply.refused == {"mixed_devices": 1}
    assert len({seen.device.key for seen in reply.observations}) == 1


def test_an_empty_batch_is_fine_and_a_huge_one_is_not() -> None:
    assert stats(World(view()), []).body == {"status": "ok", "results": []}
    assert stats(World(view()), [event("set")] * 256).status == 200
    too_many = stats(World(view()), [{}] * 257)
    assert (too_many.status, too_many.body["error"]) == (400, "too_many_events")


def test_events_of_a_device_without_a_channel_are_counted() -> None:
    seen = only(stats(World(view(default=None)), event("set")))
    assert (seen.device.channel, seen.weight_bps, seen.release) == ("", 0, "1.2.0")


def progress(*bodies: dict[str, Any]) -> Outcome:
    world, joined = World(view()), Progress()
    for body in bodies:
        for seen in stats(world, body).observations:
            joined = joined.join(Progress.of(seen))
    return joined.outcome


INSTALLED = [event(action) for action in ("download_zip_start", "download_10", "download_complete", "set_next", "set")]


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        (INSTALLED, Outcome.PENDING),
        ([*INSTALLED, event("app_launch_ready")], Outcome.SUCCESS),
        ([*INSTALLED, event("app_launch_timeout"), event("update_fail"), event("reset", "builtin")], Outcome.BOOT),
        ([event("download_zip_start"), event("download_fail")], Outcome.NETWORK),
        ([event("download_zip_start"), event("finish_download_fail"), event("download_fail")], Outcome.INTEGRITY),
        ([event("insufficient_disk_space"), event("download_fail")], Outcome.REFUSAL),
        ([event("download_fail"), *INSTALLED, event("app_moved_to_foreground")], Outcome.SUCCESS),
        # Android names the bundle that runs in these two: it has run, and that outweighs them.
        ([*INSTALLED, event("app_launch_ready"), event("checksum_fail"), event("download_fail")], Outcome.SUCCESS),
    ],
)
def test_what_comes_of_what_a_phone_tells(bodies: list[dict[str, Any]], expected: Outcome) -> None:
    assert progress(*bodies) == progress(*reversed(bodies)) == progress(*bodies, *bodies) == expected


# --- /channel_self


def channel_self(world: World, method: str, **changes: Any) -> Reply:
    if method in {"GET", "DELETE"}:
        changes = {"is_prod": "true", "is_emulator": "false", **changes}
    return world.service.channel_self(method, info(**changes), NOW)


def test_listing_shows_the_default_and_what_may_be_chosen() -> None:
    reply = channel_self(World(CHANNELS), "GET")
    assert reply.status == 200
    assert [(item["name"], item["public"], item["allow_self_set"]) for item in reply.body] == [
        ("beta", False, True),
        ("stable", True, False),
    ]
    ids = [item["id"] for item in reply.body]
    assert all(type(one) is int and 0 <= one < 2**31 for one in ids)
    assert len(set(ids)) == 2
    assert channel_self(World(view()), "GET").body[0]["id"] == ids[1]


@pytest.mark.parametrize(
    ("plugin", "is_kept_here"),
    [
        ("8.51.23", False),
        ("7.34.0", False),
        ("6.34.0", False),
        ("5.34.0", False),
        ("7.33.9", True),
        ("6.33.0", True),
        ("5.33.0", True),
    ],
)
def test_choosing_a_channel(plugin: str, is_kept_here: bool) -> None:
    reply = channel_self(World(CHANNELS), "POST", channel="beta", plugin_version=plugin)
    assert (reply.status, reply.body) == (200, {"status": "ok", "allowSet": True})
    assert reply.assign == (Assign("com.example.app", KEY, "beta") if is_kept_here else None)


@pytest.mark.parametrize("plugin", ["8.51.23", OLD_PLUGIN])
def test_choosing_the_default_takes_the_choice_back(plugin: str) -> None:
    reply = channel_self(World(CHANNELS), "POST", channel="stable", plugin_version=plugin)
    assert reply.body == {"status": "ok", "allowSet": False, "unset": True}
    assert reply.assign == (Assign("com.example.app", KEY, None) if plugin == OLD_PLUGIN else None)


@pytest.mark.parametrize("plugin", ["8.51.23", OLD_PLUGIN])
def test_private_missing_and_unreadable_channels_are_not_told_apart(plugin: str) -> None:
    answers = [
        channel_self(World(CHANNELS), "POST", channel=name, plugin_version=plugin)
        for name in ("private", "missing", "unread", "x y", "\x00", "\ud800", "y" * 500)
    ]
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0].status, answers[0].body["error"], answers[0].assign) == (200, "channel_self_set_not_allowed", None)
    told = [channel_self(World(CHANNELS), "PUT", defaultChannel=name, plugin_version=plugin) for name in ("private", "missing")]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("channel_name", "error"), [(..., "missing_channel"), (None, "missing_channel"), ("", "missing_channel")]
)
def test_choosing_nothing(channel_name: Any, error: str) -> None:
    reply = channel_self(World(CHANNELS), "POST", channel=channel_name)
    assert (reply.status, reply.body["error"]) == (200, error)


@pytest.mark.parametrize("channel_name", [7, True, ["beta"], {"beta": 1}])
def test_choosing_what_is_no_name(channel_name: Any) -> None:
    assert channel_self(World(CHANNELS), "POST", channel=channel_name).status == 400


def test_a_device_cannot_choose_against_an_operator() -> None:
    world = World(CHANNELS)
    world.overrides[KEY] = "private"
    reply = channel_self(world, "POST", channel="beta", plugin_version=OLD_PLUGIN)
    assert (reply.status, reply.body["error"], reply.assign) == (200, "cannot_override", None)


@pytest.mark.parametrize(
    ("changes", "override", "chosen", "expected"),
    [
        ({}, None, None, {"channel": "stable", "status": "default", "allowSet": False}),
        ({"defaultChannel": "beta"}, None, None, {"channel": "beta", "status": "override", "allowSet": True}),
        ({"plugin_version": OLD_PLUGIN}, None, "beta", {"channel": "beta", "status": "override", "allowSet": True}),
        ({}, "stable", None, {"channel": "stable", "status": "override", "allowSet": False}),
    ],
)
def test_asking_for_the_channel(
    changes: dict[str, Any], override: str | None, chosen: str | None, expected: dict[str, Any]
) -> None:
    world = World(CHANNELS)
    world.overrides.update({KEY: override} if override else {})
    world.chosen.update({KEY: chosen} if chosen else {})
    assert channel_self(world, "PUT", **changes).body == expected


def test_asking_when_there_is_none() -> None:
    reply = channel_self(World(replace(CHANNELS, rules=replace(CHANNELS.rules, default_channel=None))), "PUT")
    assert (reply.status, reply.body["error"]) == (200, "channel_not_found")


@pytest.mark.parametrize("plugin", ["8.51.23", OLD_PLUGIN])
def test_taking_a_choice_back(plugin: str) -> None:
    reply = channel_self(World(CHANNELS), "DELETE", plugin_version=plugin)
    assert (reply.status, reply.body) == (200, {"status": "ok"})
    assert reply.assign == (Assign("com.example.app", KEY, None) if plugin == OLD_PLUGIN else None)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_a_body_that_is_no_device(method: str) -> None:
    assert World(CHANNELS).service.channel_self(method, {"app_id": "com.example.app"}, NOW).status == 400


# --- whatever is sent

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
BODIES = JSON | st.builds(
    lambda changes: event("set") | changes,
    st.dictionaries(
        st.sampled_from([*event("set"), "metadata", "channel"]),
        JSON | st.sampled_from(["beta", "private", "1.2.0", "true"]),
        max_size=3,
    ),
)


@given(BODIES, st.sampled_from(["POST", "PUT", "GET", "DELETE"]))
def test_nothing_that_is_sent_raises_or_gives_an_undocumented_answer(body: Any, method: str) -> None:
    service = World(CHANNELS).service
    answers = [
        service.updates(body, NOW, BASE),
        service.stats(body, NOW),
        service.stats([body, body], NOW),
        service.channel_self(method, body, NOW),
    ]
    for reply in answers:
        assert reply.status in {200, 400, 429}
        json.dumps(reply.body, allow_nan=False).encode()
        assert reply.note
        assert all(seen.release in CHANNELS.known | {""} for seen in reply.observations)
    if answers[0].status == 200:
        assert len({"error", "message", "kind"} & set(answers[0].body)) in {0, 3}


def test_a_release_without_a_session_key_reaches_nobody() -> None:
    unsealed = release("1.2.0")
    app = view(releases=(replace(unsealed, sealed=replace(unsealed.sealed, session_key=None)),))
    assert updates(World(app)).body["kind"] == "failed"
    assert updates(World(app), key_id="").body["kind"] == "failed"
