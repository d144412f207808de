"""Placeholders stay values wherever they stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources import _fill

START = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ALL = "{metric} {app} {channel} {release} {start} {end} {weight} {over} {start_unix} {end_unix} {start_ms} {end_ms} {window}"


def query(*, release: str = "1.4.2", channel: str = "stable", bps: int = 25, over: float | None = 0.5) -> MetricQuery:
    limit = None if over is None else timedelta(seconds=over)
    return MetricQuery("m", "com.example.app", channel, release, START, START + timedelta(hours=1), bps, limit)


def test_every_placeholder_is_filled() -> None:
    told = _fill.plain(ALL, query())
    texts, _, numbers = told.partition(" 0.25 ")
    assert texts == "m com.example.app stable 1.4.2 2026-11-21T09:30:00.000000Z 2026-11-21T10:30:00.000000Z"
    assert numbers == "0.5 1795253400 1795257000 1795253400000 1795257000000 3600s"
    assert {f"{{{name}}}" for name in _fill.NAMES} == set(ALL.split())


@pytest.mark.parametrize(
    ("over", "text"), [(None, ""), (45, "45"), (120, "120"), (0.5, "0.5"), (100, "100"), (0.000001, "0.000001")]
)
def test_limits_are_in_seconds(over: float | None, text: str) -> None:
    assert _fill.plain("{over}", query(over=over)) == text


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (0, 3600.9, "1795253400 1795257000 3600s"),
        (0.9, 1.1, "1795253400 1795253401 1s"),
        (0.2, 0.3, "1795253400 1795253401 1s"),
    ],
)
def test_windows_are_of_whole_seconds(since: float, until: float, told: str) -> None:
    asked = MetricQuery("m", "a", "c", "r", START + timedelta(seconds=since), START + timedelta(seconds=until), 5)
    assert _fill.plain("{start_unix} {end_unix} {window}", asked) == told


@pytest.mark.parametrize(("bps", "text"), [(0, "0"), (500, "5"), (10_000, "100"), (1, "0.01"), (1050, "10.5")])
def test_weights_are_in_percent(bps: int, text: str) -> None:
    assert _fill.plain("{weight}", query(bps=bps)) == text


@pytest.mark.parametrize("template", ["{unknown}", "{ metric }", "{}", "{{", '{"a": 1}', "{Metric}"])
def test_other_braces_are_left_alone(template: str) -> None:
    assert _fill.plain(template, query()) == template


def test_values_are_not_filled_again() -> None:
    assert _fill.plain("{release}", query(release="{app}")) == "{app}"


def test_urls_are_quoted() -> None:
    filled = _fill.in_url("https://x.test/{channel}?r={release}", query(channel="a/../b", release="1&total=0#?@\n%2e"))
    assert filled == "https://x.test/a%2F..%2Fb?r=1%26total%3D0%23%3F%40%0A%252e"


def test_json_is_escaped() -> None:
    filled = _fill.in_json('{"q": "release = {release}"}', query(release='1", "total": "\\\n'))
    assert json.loads(filled) == {"q": 'release = 1", "total": "\\\n'}


@pytest.mark.parametrize("release", ["../../etc/passwd", "a/b", "a\\b", "a\0b", "/etc", ".."])
def test_paths_do_not_follow_values(release: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"another folder"):
        _fill.path_below(tmp_path, "metrics/{release}", query(release=release))


def test_two_values_do_not_spell_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"another folder"):
        _fill.path_below(tmp_path, "metrics/{channel}{release}/x", query(channel=".", release="."))


@pytest.mark.parametrize(
    ("template", "below"),
    [("metrics/{metric}.json", "metrics/m.json"), ("../{release}.json", "../1.4.2.json"), ("plain.json", "plain.json")],
)
def test_paths_start_at_the_root(template: str, below: str, tmp_path: Path) -> None:
    assert _fill.path_below(tmp_path, template, query()) == tmp_path / below


def test_absolute_templates_are_the_policys_choice(tmp_path: Path) -> None:
    assert _fill.path_below(Path("/elsewhere"), f"{tmp_path}/{{metric}}", query()) == tmp_path / "m"


@pytest.mark.parametrize(
    ("templates", "told"), [((), False), ((None, "a"), False), (("a", "x{over}"), True), (("{overt}",), False)]
)
def test_it_is_known_whether_a_source_is_told_the_limit(templates: tuple[str | None, ...], told: bool) -> None:
    assert _fill.asks_over(*templates) is told
