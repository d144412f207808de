from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.channel import cohort
from otagate.model import AppId, ChannelName, Digest, Sealed, Version
from otagate.policy.model.server import AutoUpdate, ChannelRules
from otagate.server import facts, select
from otagate.server.answers import Choice, Refusal, Serve, ToBuiltIn
from otagate.server.facts import DeviceRequest
from otagate.server.interface import AppView
from otagate.server.replies import Kind
from support.asked import APP, NOW, channel, info, release, view

OPEN = ChannelRules(self_set=True)
CLEAR = Sealed("none", Digest.of(b"clear"), 5)


def device(**changes: Any) -> DeviceRequest:
    request = facts.read(info(**changes))
    assert isinstance(request, DeviceRequest)
    return request


def choose(app: AppView, override: str | None = None, chosen: str | None = None, **changes: Any) -> Choice:
    return select.choose(app, device(**changes), override, chosen, NOW)


def refused(choice: Choice) -> tuple[str, str]:
    assert isinstance(choice, Refusal)
    assert choice.message
    return choice.kind.value, choice.error


def served(choice: Choice) -> str:
    assert isinstance(choice, Serve), choice
    return choice.release.version.value


def ruled(**rules: Any) -> AppView:
    return view(rules={"stable": ChannelRules(**rules)})


def sealed(**changes: Any) -> AppView:
    made = release("1.2.0")
    return view(releases=(replace(made, sealed=replace(made.sealed, **changes)),))


# Every code of the protocol that this server gives, with the smallest situation that gives it.
REFUSALS: list[tuple[str, str, AppView, dict[str, Any]]] = [
    ("up_to_date", "no_new_version_available", view(), {"version_name": "1.2.0"}),
    ("up_to_date", "no_new_version_available", view(), {"version_build": "1.2.0"}),
    ("up_to_date", "no_new_version_available", view(channel("stable", paused=True)), {"version_name": "1.1.0"}),
    ("up_to_date", "already_on_builtin", view(channel("stable", None)), {}),
    ("failed", "unsupported_plugin_version", view(), {"plugin_version": "4.43.2"}),
    ("failed", "unsupported_plugin_version", ruled(min_plugin="8.51.24"), {}),
    ("failed", "unsupported_plugin_version", ruled(min_plugin="newest"), {}),
    ("failed", "unknown_version_build", view(), {"version_build": "unknown"}),
    ("failed", "semver_error", view(), {"version_build": "beta build"}),
    ("failed", "no_channel", view(default=None), {}),
    ("failed", "no_channel", view(default="gone"), {}),
    ("blocked", "cannot_update_via_private_channel", view(default=None), {"defaultChannel": "stable"}),
    ("failed", "misconfigured_channel", view(channel("stable", expires=NOW)), {}),
    ("failed", "misconfigured_channel", view(releases=()), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", expires=NOW),)), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", channels=(ChannelName("beta"),)),)), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", app=AppId("com.other.app")),)), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", native_min="new"),)), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", sealed=CLEAR),)), {"key_id": ""}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", sealed=CLEAR),), is_signed=False), {}),
    ("failed", "misconfigured_channel", sealed(session_key=""), {}),
    ("failed", "misconfigured_channel", sealed(checksum_hex=None), {}),
    ("failed", "misconfigured_channel", view(releases=(release("1.2.0", sealed=replace(CLEAR, format="aes-256-gcm")),), is_signed=False), {"key_id": ""}),
    ("failed", "misconfigured_channel", sealed(format="aes-256-gcm"), {}),
    ("blocked", "key_id_mismatch", view(), {"key_id": "MIIBCgKCAQEAzzzzzzzz"}),
    ("blocked", "disabled_platform_ios", ruled(platforms=("android",)), {"platform": "ios"}),
    ("blocked", "disabled_platform_android", ruled(platforms=("ios",)), {}),
    ("blocked", "disabled_platform_electron", ruled(platforms=("ios",)), {"platform": "electron"}),
    ("blocked", "disable_auto_update_to_major", ruled(stop_at=AutoUpdate.MAJOR), {"version_build": "2.2.0"}),
    ("blocked", "disable_auto_update_to_major", ruled(stop_at=AutoUpdate.PATCH), {"version_build": "0.2.0"}),
    ("blocked", "disable_auto_update_to_minor", ruled(stop_at=AutoUpdate.MINOR), {"version_build": "1.1.0"}),
    ("blocked", "disable_auto_update_to_minor", ruled(stop_at=AutoUpdate.PATCH), {"version_build": "1.1.0"}),
    ("blocked", "disable_auto_update_to_patch", ruled(stop_at=AutoUpdate.PATCH), {"version_build": "1.2.0-rc.1"}),
    ("blocked", "disable_auto_update_to_metadata", view(releases=(release("1.2.0", native_min="1.0.1"),)), {}),
    ("blocked", "disable_auto_update_to_metadata", view(releases=(release("1.2.0", native_max="1"),)), {}),
    ("blocked", "disable_auto_update_under_native", view(), {"version_build": "1.2.1"}),
    ("blocked", "disable_downgrade", ruled(downgrade=False), {"version_name": "1.2.1"}),
    ("blocked", "disable_prod_build", ruled(production=False), {}),
    ("blocked", "disable_dev_build", ruled(development=False), {"is_prod": False}),
    ("blocked", "disable_emulator", ruled(emulators=False), {"is_emulator": True}),
    ("blocked", "disable_device", ruled(devices=False), {}),
    *(
        ("failed", "revert_to_builtin_plugin_version_too_old", view(channel("stable", None)), {"version_name": "1.2.0", "plugin_version": old})
        for old in ("5.50.0", "6.1.34", "7.0.1", "10.0.0")
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "error", "app", "changes"), REFUSALS, ids=[f"{number}-{row[1]}" for number, row in enumerate(REFUSALS)]
)
def test_refusals(kind: str, error: str, app: AppView, changes: dict[str, Any]) -> None:
    assert refused(choose(app, **changes)) == (kind, error)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"version_name": "1.1.0"}, {"version_name": "1.9.0"}, {"version_name": "not a version"}, {"version_build": "1"},
        {"platform": "ios"}, {"is_emulator": True}, {"is_prod": False}, {"key_id": ""}, {"key_id": "MIIB"}, {"plugin_version": "7.30.0"},
    ],
)  # fmt: skip
def test_devices_that_are_served(changes: dict[str, Any]) -> None:
    choice = choose(view(), **changes)
    assert served(choice) == "1.2.0"
    assert isinstance(choice, Serve)
    assert (choice.channel, choice.weight_bps, choice.target) == ("stable", 10_000, "1.2.0")


@pytest.mark.parametrize(
    ("rules", "changes"),
    [
        ({"under_native": True}, {"version_build": "9.0.0"}), ({"stop_at": AutoUpdate.MAJOR}, {"version_build": "1.0.0"}),
        ({"stop_at": AutoUpdate.MINOR}, {"version_build": "1.2.5", "version_name": "1.2.4"}), ({"stop_at": AutoUpdate.ANY}, {"version_build": "0.1.0"}),
        ({"downgrade": False}, {"version_name": "1.1.9"}), ({"min_plugin": "8.51.23"}, {}), ({"emulators": False}, {}), ({"devices": False}, {"is_emulator": True}),
        ({"production": False}, {"is_prod": False}), ({"platforms": ("android",)}, {}),
    ],
)  # fmt: skip
def test_rules_let_those_through_that_they_do_not_mean(rules: dict[str, Any], changes: dict[str, Any]) -> None:
    under = {"under_native": True} if changes.get("version_build") == "1.2.5" else {}
    assert served(choose(ruled(**rules, **under), **changes)) == "1.2.0"


@pytest.mark.parametrize(
    ("native", "is_served"), [("1.0.9", False), ("1.1.0", True), ("1.1.9", True), ("2.0.0", False), ("1.1.0-rc.1", False)]
)
def test_the_native_range_holds_its_lower_end_only(native: str, is_served: bool) -> None:
    app = view(
        rules={"stable": ChannelRules(under_native=True)}, releases=(release("1.2.0", native_min="1.1", native_max="2"),)
    )
    assert isinstance(choose(app, version_build=native), Serve) is is_served


@pytest.mark.parametrize(
    ("plugin", "checksum"),
    [
        ("8.0.0", "ab"),
        ("7.30.0", "ab"),
        ("6.30.0", "ab"),
        ("5.50.1", "ab"),
        ("7.29.9", "q80="),
        ("6.29.0", "q80="),
        ("6.2.0", "q80="),
        ("7.0.2", "q80="),
    ],
)
def test_the_checksum_is_in_the_plugins_encoding(plugin: str, checksum: str) -> None:
    choice = choose(view(), plugin_version=plugin)
    assert isinstance(choice, Serve)
    assert choice.checksum == checksum


OTHER_SEAL = ("5.0.0", "5.50.0", "6.1.34", "7.0.0", "7.0.1", "9.0.0", "10.0.0")
"""Plugins with the seal before ``capgo``."""


@pytest.mark.parametrize("plugin", OTHER_SEAL)
def test_plugins_with_another_seal_are_not_given_one_that_they_cannot_open(plugin: str) -> None:
    assert refused(choose(view(), plugin_version=plugin)) == ("failed", "unsupported_plugin_version")


@pytest.mark.parametrize(
    ("plugin", "compares"),
    [
        *((plugin, False) for plugin in (*OTHER_SEAL, "6.14.26", "6.24.9")),
        *((one, True) for one in ("5.50.1", "6.25.0", "7.0.2", "8.0.0")),
    ],
)
def test_a_clear_bundle_has_no_checksum_for_plugins_that_compare_it_with_a_crc(plugin: str, compares: bool) -> None:
    app = view(releases=(release("1.2.0", sealed=CLEAR),), is_signed=False)
    choice = choose(app, plugin_version=plugin, key_id="")
    assert isinstance(choice, Serve)
    assert choice.checksum == (CLEAR.blob.hex if compares else "")


def test_a_bundle_without_seal_is_served_to_apps_without_a_key() -> None:
    choice = choose(view(releases=(release("1.2.0", sealed=CLEAR),), is_signed=False), key_id="")
    assert isinstance(choice, Serve)
    assert choice.checksum == CLEAR.blob.hex


def test_extras_of_blocks() -> None:
    def extras(app: AppView, **changes: Any) -> dict[str, Any]:
        choice = choose(app, **changes)
        assert isinstance(choice, Refusal)
        return dict(choice.extras)

    old = {"version": "1.2.0", "old": "builtin"}
    assert extras(ruled(stop_at=AutoUpdate.MAJOR), version_build="0.9.0") == {**old, "major": True}
    assert extras(view(releases=(release("1.2.0", native_min="1.0.1"),))) == {**old, "major": True}
    assert extras(view(releases=(release("1.2.0", native_max="1.0.0"),))) == old
    assert extras(view(), version_build="1.3.0") == old
    assert extras(view(), key_id="MIIBCgKCAQEAzzzzzzzz") == {
        "deviceKeyId": "MIIBCgKCAQEAzzzzzzzz",
        "bundleKeyId": "MIIBCgKCAQEAabcdefgh",
    }
    assert extras(ruled(devices=False)) == {"version": "1.2.0"}


RAMP = channel("stable", "1.2.0", "1.3.0", 5000)


@pytest.mark.parametrize("number", range(20))
def test_the_cohort_decides_between_the_two(number: int) -> None:
    device_id = f"{number:08x}-0000-4000-8000-000000000000"
    is_in = cohort.bucket(RAMP.state.candidate.seed, APP, device_id) < 5000 if RAMP.state.candidate else False
    choice = choose(view(RAMP), device_id=device_id.upper())
    assert isinstance(choice, Serve)
    assert (choice.target, choice.weight_bps) == (("1.3.0", 5000) if is_in else ("1.2.0", 10_000))


def test_a_channel_that_was_never_promoted_leaves_the_others_on_their_built_in_bundle() -> None:
    app = view(channel("stable", None, "1.3.0", 0))
    assert refused(choose(app)) == ("up_to_date", "already_on_builtin")
    assert choose(app, version_name="1.1.0") == ToBuiltIn("stable")
    assert ToBuiltIn("stable").target == "builtin"


@pytest.mark.parametrize(
    ("rules", "changes", "error"),
    [
        ({"platforms": ("ios",)}, {}, "disabled_platform_android"),
        ({"downgrade": False}, {"version_name": "1.1.0"}, "disable_downgrade"),
        ({"devices": False}, {}, "disable_device"),
        ({"min_plugin": "9.0.0"}, {}, "unsupported_plugin_version"),
    ],
)
def test_rules_hold_for_the_way_back_to_the_built_in_bundle(rules: dict[str, Any], changes: dict[str, Any], error: str) -> None:
    app = view(channel("stable", None), rules={"stable": ChannelRules(**rules)})
    assert refused(choose(app, **{"version_name": "0.9.0", **changes}))[1] == error


def test_no_downgrade_does_not_keep_a_device_from_a_newer_built_in_bundle() -> None:
    app = view(channel("stable", None), rules={"stable": ChannelRules(downgrade=False)})
    assert choose(app, version_name="0.9.0", version_build="1.0.0") == ToBuiltIn("stable")


BLOCKED = (Version("1.3.0"),)


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_blocked_release_is_left_whatever_else_holds(is_paused: bool) -> None:
    assert served(choose(view(channel("stable", blocked=BLOCKED, paused=is_paused)), version_name="1.3.0")) == "1.2.0"
    assert choose(view(channel("stable", None, blocked=BLOCKED, paused=is_paused)), version_name="1.3.0") == ToBuiltIn("stable")


def test_a_blocked_release_is_not_served_though_the_pointer_names_it() -> None:
    app = view(channel("stable", "1.3.0", "1.3.0", 10_000, blocked=BLOCKED))
    assert refused(choose(app)) == ("up_to_date", "already_on_builtin")
    assert choose(app, version_name="1.3.0") == ToBuiltIn("stable")


def test_a_blocked_release_is_left_for_the_built_in_bundle_when_the_stable_one_does_not_fit() -> None:
    app = view(channel("stable", blocked=BLOCKED))
    assert choose(app, version_name="1.3.0", version_build="1.2.5") == ToBuiltIn("stable")
    assert refused(choose(app, version_name="1.4.0", version_build="1.2.5")) == ("blocked", "disable_auto_update_under_native")


@pytest.mark.parametrize("plugin", ["5.50.1", "6.2.0", "7.0.2", "8.0.0"])
def test_plugins_that_know_the_built_in_bundle_are_sent_back_to_it(plugin: str) -> None:
    assert choose(view(channel("stable", None)), version_name="1.2.0", plugin_version=plugin) == ToBuiltIn("stable")


def test_a_blocked_release_is_left_for_the_built_in_bundle_when_the_stable_one_has_another_key() -> None:
    app = view(channel("stable", blocked=BLOCKED))
    other = "MIIBCgKCAQEAzzzzzzzz"
    assert choose(app, version_name="1.3.0", key_id=other) == ToBuiltIn("stable")
    assert refused(choose(app, version_name="1.1.0", key_id=other)) == ("blocked", "key_id_mismatch")


def test_no_downgrade_keeps_a_rollback_from_devices_as_its_rule_says() -> None:
    app = view(channel("stable", blocked=BLOCKED), rules={"stable": ChannelRules(downgrade=False)})
    assert refused(choose(app, version_name="1.3.0")) == ("blocked", "disable_downgrade")


def test_an_expired_pointer_serves_until_its_last_instant() -> None:
    app = view(channel("stable", expires=NOW + timedelta(microseconds=1)))
    assert served(choose(app)) == "1.2.0"


CHANNELS = view(
    channel("stable"),
    channel("beta", "1.3.0"),
    channel("private", "1.4.0"),
    rules={"beta": OPEN, "unread": OPEN, "private": ChannelRules()},
)


@pytest.mark.parametrize(
    ("plugin", "override", "chosen", "told", "expected"),
    [
        ("8.51.23", None, None, "", "1.2.0"), ("8.51.23", None, None, "stable", "1.2.0"), ("8.51.23", None, None, "beta", "1.3.0"),
        # An operator's word is the last one, also for a private channel.
        ("8.51.23", "private", None, "beta", "1.4.0"), ("7.10.0", "private", "beta", "", "1.4.0"), ("8.51.23", "stable", None, "beta", "1.2.0"),
        # Newer plugins keep the choice themselves: what an older one once left on the server is not listened to.
        ("8.51.23", None, "beta", "", "1.2.0"), ("7.34.0", None, "beta", "", "1.2.0"), ("7.33.9", None, "beta", "", "1.3.0"), ("6.33.0", None, "beta", "", "1.3.0"),
        ("6.33.0", None, "beta", "stable", "1.3.0"), ("9.0.1", None, "beta", "", "1.2.0"), ("7.33.9", None, None, "beta", "1.3.0"),
        # What is not open is as if it had not been said.
        ("8.51.23", None, None, "private", "1.2.0"), ("8.51.23", None, None, "missing", "1.2.0"), ("7.33.9", None, "private", "", "1.2.0"), ("8.51.23", None, None, "no such/name", "1.2.0"),
    ],
)  # fmt: skip
def test_which_channel_a_device_follows(
    plugin: str, override: str | None, chosen: str | None, told: str, expected: str
) -> None:
    assert served(choose(CHANNELS, override, chosen, plugin_version=plugin, defaultChannel=told)) == expected


@pytest.mark.parametrize("changes", [{}, {"version_name": "1.4.0"}, {"version_name": "1.2.0"}, {"version_build": "7.0.0"}])
def test_a_private_channel_and_none_at_all_get_the_same_answer(changes: dict[str, Any]) -> None:
    for app in (CHANNELS, replace(CHANNELS, rules=replace(CHANNELS.rules, default_channel=None))):
        assert choose(app, defaultChannel="private", **changes) == choose(app, defaultChannel="missing", **changes)


@pytest.mark.parametrize(("override", "told"), [("missing", ""), (None, "unread")])
def test_a_channel_that_counts_and_cannot_be_read_is_not_replaced_by_another(override: str | None, told: str) -> None:
    assert refused(choose(CHANNELS, override, None, defaultChannel=told)) == ("failed", "misconfigured_channel")


def test_refusals_name_channel_and_target_for_telemetry() -> None:
    choice = choose(ruled(devices=False))
    assert isinstance(choice, Refusal)
    assert (choice.channel, choice.target) == ("stable", "1.2.0")
    paused = choose(view(channel("stable", paused=True)), version_name="1.1.0")
    assert isinstance(paused, Refusal)
    assert (paused.kind, paused.target) == (Kind.UP_TO_DATE, "1.1.0")


VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0")
RULES = st.builds(
    ChannelRules,
    self_set=st.booleans(),
    platforms=st.sampled_from([("ios",), ("android",), ("android", "ios")]),
    devices=st.booleans(),
    emulators=st.booleans(),
    production=st.booleans(),
    development=st.booleans(),
    under_native=st.booleans(),
    downgrade=st.booleans(),
    stop_at=st.sampled_from(AutoUpdate),
    min_plugin=st.none() | st.sampled_from(["6.0.0", "8.0.0"]),
)
STATES = st.builds(
    lambda stable, candidate, weight, paused, blocked: channel(
        "stable", stable, candidate, weight, paused=paused, blocked=tuple(Version(one) for one in blocked)
    ),
    st.none() | st.sampled_from(VERSIONS),
    st.none() | st.sampled_from(VERSIONS),
    st.integers(0, 10_000),
    st.booleans(),
    st.sets(st.sampled_from(VERSIONS), max_size=2),
)


@given(
    state=STATES,
    rules=RULES,
    running=st.sampled_from(("builtin", *VERSIONS)),
    native=st.sampled_from(VERSIONS),
    plugin=st.sampled_from(("5.9.0", "6.1.0", "7.40.0", "8.51.23")),
    flags=st.tuples(st.booleans(), st.booleans()),
    missing=st.booleans(),
)
def test_nothing_is_ever_served_that_the_pointer_does_not_name(  # noqa: PLR0917 - what Hypothesis gives
    state: Any, rules: ChannelRules, running: str, native: str, plugin: str, flags: tuple[bool, bool], missing: bool
) -> None:
    app = view(state, rules={"stable": rules}, releases=() if missing else None)
    changes: dict[str, Any] = {
        "version_name": running,
        "version_build": native,
        "plugin_version": plugin,
        "is_emulator": flags[0],
        "is_prod": flags[1],
    }
    choice = choose(app, None, None, **changes)
    blocked = {version.value for version in state.state.blocked}
    if isinstance(choice, Serve):
        named = {
            one.version.value for one in (state.state.stable, state.state.candidate and state.state.candidate.release) if one
        }
        assert choice.target in named - blocked - {running}
        assert not missing
        assert not (state.state.paused and running not in blocked)
        assert rules.emulators if flags[0] else rules.devices
        assert choice.release.sealed.session_key
    elif isinstance(choice, ToBuiltIn):
        assert running != "builtin"
        assert state.state.stable is None or running in blocked or state.state.stable.version.value in blocked
    else:
        assert choice.kind in Kind
