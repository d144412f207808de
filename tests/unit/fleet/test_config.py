from __future__ import annotations

import random
from typing import Any

import pytest

from otagate.errors import KeyMaterialError, UsageError
from otagate.fleet import arrivals
from otagate.fleet.config import Arrival, Faults, FleetConfig, check_interval
from otagate.fleet.profile import draw
from support.hand_made_server import BASE

APP = "com.example.app"


# Facts of the plugin's own contract tests, section periodCheckDelay.
@pytest.mark.parametrize(
    ("told", "interval"),
    [(0, 0), (-1, 0), (1, 600), (599, 600), (600, 600), (3600, 3600), (2_147_483_647, 2_147_483_647)],
)
def test_the_interval_is_never_short(told: float, interval: float) -> None:
    assert check_interval(told) == interval


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.5},
        {"loss": float("nan")},
        {"killed": -0.1},
        {"other_faults": Faults(boot=2)},
        {"faults": {"1.0.0": Faults(crash=-1)}},
        {"chooses": {"beta": 0.6, "alpha": 0.6}},
        {"size": 0},
        {"session_s": 0},
        {"platforms": {}},
        {"platforms": {"andriod": 1}},
        {"generations": {"8.51.23": 0}},
        {"generations": {"3.0.0": 1}},
        {"zones": {1: -1, 2: 3}},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        FleetConfig(APP, BASE, **wrong).checked()


def test_a_key_that_no_phone_takes_is_refused() -> None:
    with pytest.raises(KeyMaterialError):
        FleetConfig(APP, BASE, public_key="-----BEGIN PUBLIC KEY-----").checked()


def test_faults_by_release() -> None:
    config = FleetConfig(APP, BASE, faults={"1.0.0": Faults(boot=0.5)}, other_faults=Faults(crash=0.1)).checked()
    assert config.faults_of("1.0.0") == Faults(boot=0.5)
    assert config.faults_of("2.0.0") == Faults(crash=0.1)


def opens(config: FleetConfig, zone: float, days: int = 200) -> list[float]:
    chance, at, found = random.Random(5), 0.0, []
    while at < days * 86_400:
        at = arrivals.next_open(config, zone, at, chance)
        found.append(at)
    return found


def test_apps_are_opened_as_often_as_asked() -> None:
    for arrival in (Arrival.UNIFORM, Arrival.DAILY):
        found = opens(FleetConfig(APP, BASE, arrival=arrival, sessions_per_day=5), 0.0)
        assert len(found) == pytest.approx(1000, rel=0.1)


def test_most_open_in_the_evening_of_their_own_zone() -> None:
    found = opens(FleetConfig(APP, BASE, arrival=Arrival.DAILY, sessions_per_day=5), 9.0)
    hours = [(at / 3600 + 9) % 24 for at in found]
    evening, morning = sum(17 <= hour < 23 for hour in hours), sum(5 <= hour < 11 for hour in hours)
    assert evening > 5 * morning
    assert arrivals.weight(20 * 3600, 0) == pytest.approx(1.9)
    assert arrivals.weight(20 * 3600, 12) == pytest.approx(0.1)


def test_a_burst_comes_at_once() -> None:
    config = FleetConfig(APP, BASE, arrival=Arrival.BURST, burst_s=30)
    chance = random.Random(1)
    assert all(100 <= arrivals.first_open(config, 0, 100, chance) < 130 for _n in range(100))
    assert arrivals.first_open(FleetConfig(APP, BASE, sessions_per_day=0.001), 0, 100, chance) > 130
    assert arrivals.session_length(config, chance) >= 15


def test_devices_are_drawn_from_the_mixes() -> None:
    config = FleetConfig(
        APP,
        BASE,
        generations={"8.51.23": 1, "7.0.50": 1},
        platforms={"ios": 1, "android": 1},
        zones={-8.0: 1},
        skew_s=60,
        emulators=0.5,
        development=0.5,
    )
    chance = random.Random(1)
    drawn = [draw(config, at, chance) for at in range(200)]
    assert {one.plugin.version for one in drawn} == {"8.51.23", "7.0.50"}
    assert len({one.device_id for one in drawn}) == 200
    assert all(one.device_id.isupper() or not any(map(str.isalpha, one.device_id)) for one in drawn if one.platform == "ios")
    assert all(one.device_id == one.device_id.lower() for one in drawn if one.platform == "android")
    assert {one.zone for one in drawn} == {-8.0}
    assert 20 < sum(abs(one.skew_s) < 40 for one in drawn) < 180
    assert 100 < sum(one.is_test for one in drawn) < 190
    assert {one.builtin_name for one in drawn} == {"1.0.0", "builtin"}


def test_what_a_device_says_depends_on_its_generation() -> None:
    pem = "-----BEGIN RSA PUBLIC KEY-----\nMIIBCgKCAQEAabcdefghijk\n-----END RSA PUBLIC KEY-----\n"
    always = {
        *("platform", "device_id", "app_id", "custom_id", "version_build", "version_code", "version_os"),
        *("plugin_version", "is_emulator", "is_prod"),
    }
    for version, more in (("8.51.23", {"install_source", "key_id"}), ("8.41.3", {"key_id"}), ("7.0.50", set())):
        config = FleetConfig(APP, BASE, generations={version: 1}, public_key=pem)
        drawn = draw(config, 0, random.Random(1))
        assert set(drawn.info) == always | more
        assert drawn.info.get("key_id", "MIIBCgKCAQEAabcdefgh") == "MIIBCgKCAQEAabcdefgh"
