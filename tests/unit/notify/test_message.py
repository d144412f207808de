"""What each ledger entry says to people."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import otagate
from otagate.notify._kinds import KINDS
from otagate.notify.message import (
    MAX_FACT_CHARS,
    MAX_FACTS,
    MAX_SENTENCE_CHARS,
    MAX_TITLE_CHARS,
    Happening,
    Level,
    compose,
    event_id,
)
from otagate.policy.check_windows import EVENTS

AT = datetime(2026, 11, 21, 9, 30, 15, 42, tzinfo=UTC)
ROLLOUT = {"rollout": "1.4.2-production", "version": "1.4.2"}


def made(kind: str, /, **data: Any) -> Any:
    return compose(Happening("com.example.app", 7, AT, kind, data, "sha256:ab"))


@pytest.mark.parametrize(
    ("kind", "data", "level", "title", "sentence"),
    [
        ("rollout.started", {**ROLLOUT, "track": "production", "actor": "ana"}, "info", "1.4.2 starts", "The rollout of 1.4.2 along track production was started by ana."),
        ("rollout.advanced", {**ROLLOUT, "phase": "stable", "channel": "stable", "weight": "5%"}, "info", "1.4.2 goes to 5% of stable", "1.4.2 is offered to 5% of stable, in phase stable."),
        ("rollout.lowered", {**ROLLOUT, "channel": "stable", "weight": "5%", "reason": "careful"}, "warning", "1.4.2 goes down to 5% of stable", "1.4.2 was taken down to 5% of stable: careful."),
        ("rollout.paused", {**ROLLOUT, "reason": "crash_rate: 9%", "actor": "ana"}, "warning", "1.4.2 is paused", "1.4.2 is paused by ana: crash_rate: 9%. Devices that have it keep it; no others get it."),
        ("rollout.resumed", {**ROLLOUT, "reason": "resumed by hand"}, "info", "1.4.2 goes on", "The rollout of 1.4.2 was resumed."),
        ("rollout.paused", {**ROLLOUT, "reason": "paused by ana", "actor": "ana"}, "warning", "1.4.2 is paused", "1.4.2 is paused by ana. Devices that have it keep it; no others get it."),
        ("rollout.paused", {**ROLLOUT, "channel": "stable", "weight": "5%", "reason": "9%"}, "warning", "1.4.2 is paused", "1.4.2 is paused at 5% of stable: 9%. Devices that have it keep it; no others get it."),
        ("rollout.awaiting_approval", {**ROLLOUT, "what": "phase:stable"}, "warning", "1.4.2 waits for an approval", "1.4.2 does not go on before somebody approves phase stable: otagate approve"),
        ("rollout.approved", {**ROLLOUT, "what": "phase:stable", "actor": "ana", "reason": "looks good."}, "info", "1.4.2 is approved", "1.4.2 was approved for phase stable by ana: looks good."),
        ("rollout.rolled_back", {**ROLLOUT, "reason": "too bad", "channels": "stable, beta"}, "bad", "1.4.2 is rolled back", "1.4.2 is rolled back; stable, beta serve the release before it again: too bad."),
        ("rollout.rolled_back", ROLLOUT, "bad", "1.4.2 is rolled back", "1.4.2 is rolled back; it had not reached a channel."),
        ("rollout.aborted", {**ROLLOUT, "actor": "ana"}, "warning", "1.4.2 is aborted", "The rollout of 1.4.2 was aborted by ana."),
        ("rollout.amended", {**ROLLOUT, "reason": "longer soak"}, "info", "1.4.2: its rollout was amended", "The rollout of 1.4.2 goes on by the policy as it is now, amended: longer soak."),
        ("rollout.taken_back", {**ROLLOUT, "weight": "", "channel": "beta", "reason": "late"}, "warning", "1.4.2 is taken off beta", "1.4.2 was taken off beta: late."),
        ("rollout.taken_back", {**ROLLOUT, "weight": "5%", "channel": "beta", "reason": "late"}, "warning", "1.4.2 is taken down to 5% of beta", "1.4.2 was taken down to 5% of beta: late."),
        ("rollout.superseded", {**ROLLOUT, "reason": "superseded by 1.4.3-production"}, "info", "1.4.2 is superseded", "The rollout of 1.4.2 is over: superseded by 1.4.3-production."),
        ("rollout.completed", {**ROLLOUT, "reason": "every phase was passed"}, "good", "1.4.2 is complete", "The rollout of 1.4.2 is complete: every phase was passed."),
        ("gate.failed", {**ROLLOUT, "metric": "crash_rate", "action": "pause", "reason": "9% of 400"}, "bad", "1.4.2 fails crash_rate", "The gate crash_rate of 1.4.2 failed, which means pause: 9% of 400."),
        ("channel.promoted", {"channel": "beta", "version": "1.4.2", "weight": "100%", "actor": "ana"}, "info", "beta was moved to 1.4.2", "Channel beta was moved by hand to 1.4.2 at 100% by ana."),
        ("channel.rolled_back", {"channel": "beta", "to": "1.4.1", "from": "1.4.2", "reason": "r"}, "bad", "beta is rolled back", "Channel beta serves 1.4.1 again instead of 1.4.2: r."),
        ("channel.paused", {"channel": "beta", "actor": "ana"}, "warning", "beta is paused", "Channel beta was paused by ana."),
        ("channel.resumed", {"channel": "beta"}, "info", "beta goes on", "Channel beta was resumed."),
        ("release.published", {"version": "1.4.2"}, "info", "1.4.2 is published", "1.4.2 is published; no channel serves it yet."),
        ("release.pruned", {"bundles": "3", "actor": "ana"}, "info", "bundles were removed", "3 bundles that nothing needs any more were removed by ana."),
        ("notify.failed", {"name": "team", "reason": "HTTP 410"}, "warning", "team cannot be told", "Messages to team of `notify` do not get through: HTTP 410. The oldest are given up."),
        ("notify.test", {"actor": "ana"}, "info", "a test", "This place is told what happens. Nothing has happened: it is a test by ana."),
        ("fleet.grown_up", {"channel": "beta"}, "info", "fleet grown up: beta", "Fleet grown up."),
        ("odd", {}, "info", "odd", "Odd."),
    ],
)  # fmt: skip
def test_each_kind_has_its_words(kind: str, data: dict[str, str], level: str, title: str, sentence: str) -> None:
    message = made(kind, **data)
    assert (message.level, message.title, message.sentence) == (Level(level), f"{title} · com.example.app", sentence)
    assert (message.kind, message.seq, message.at, message.app) == (kind, 7, AT, "com.example.app")


def test_every_kind_that_is_written_is_known() -> None:
    source = Path(otagate.__file__).parent
    paths = [path for name in ("rollout", "flow", "channel") for path in (source / name).rglob("*.py")]
    texts = [path.read_text("utf-8") for path in paths if path.parent.name != "doctor"]  # its codes look alike
    written = {kind for text in texts for kind in re.findall(r'"((?:rollout|gate|channel|release|notify)\.[a-z_]+)"', text)}
    assert len(written) > 12
    assert (written | set(EVENTS)) - set(KINDS) == set()


def test_facts_are_in_order_and_noise_is_left_out() -> None:
    message = made(
        "rollout.paused", zebra="z", actor="ana", serial="9", spec="sha256:x", **ROLLOUT, reason="bad", extra=["a", 1]
    )
    assert [name for name, _ in message.facts] == ["app", "version", "by", "rollout", "extra", "zebra", "at"]
    assert dict(message.facts)["extra"] == "a, 1"
    assert dict(message.facts)["at"] == "2026-11-21 09:30:15 UTC"
    assert dict(message.details)["serial"] == "9"
    # A reason that no sentence holds stays.
    assert dict(made("some.news", version="1.4.2", reason="why so").facts)["reason"] == "why so"


def test_what_a_failure_rests_on_is_for_machines() -> None:
    proof = {
        "check": "limit",
        "bad": "31",
        "total": "400",
        "estimate": "0.0775",
        "query": "GET https://m.example",
        "log_e": "9",
    }
    message = made("gate.failed", **ROLLOUT, metric="crash_rate", action="pause", reason="31 of 400", **proof)
    assert [name for name, _ in message.facts] == ["app", "version", "gate", "action", "rollout", "at"]
    assert proof.items() <= message.details.items()


def test_texts_are_harmless_and_short() -> None:
    data = {f"field{number}": "x" * 9999 for number in range(60)}
    message = made("rollout.paused", **ROLLOUT, **data, reason="a\nb\x1b[31m\u202e" + "y" * 9999, actor=None)
    assert len(message.facts) == MAX_FACTS
    assert all(len(value) <= MAX_FACT_CHARS for _, value in message.facts)
    assert len(message.sentence) <= MAX_SENTENCE_CHARS
    assert "a\\x0ab\\x1b[31m\\u202e" in message.sentence
    assert len(made("rollout.paused", version="9" * 999).title) <= MAX_TITLE_CHARS
    assert len(message.details) == 30
    assert max(len(str(value)) for value in message.details.values()) == 500
    assert max(len(value) for _, value in made("a.b", x="\x00" * 999).facts) == MAX_FACT_CHARS
    assert "\n" not in message.title + message.sentence


def test_the_plain_text_has_it_all() -> None:
    message = made("rollout.paused", **ROLLOUT, run="https://ci.example.com/1")
    lines = message.text.splitlines()
    assert (lines[0], lines[-1]) == (message.sentence, "https://ci.example.com/1")
    assert "version: 1.4.2" in lines
    assert made("rollout.paused").text.splitlines()[-1] == "at: 2026-11-21 09:30:15 UTC"


@pytest.mark.parametrize(
    "run",
    ["http://ci.example.com/1", "https://user@ci.example.com/", "javascript:alert(1)", "https://ci.example.com/<x>", "https://c.example/ a", "https://c.example/`x`", "https://c.example/" + "x" * 1000, "https://c.example/a|b"],
)  # fmt: skip
def test_only_plain_https_addresses_become_links(run: str) -> None:
    assert made("rollout.paused", run=run).link == ""
    good = "https://github.com/acme/app/actions/runs/42?pr=1#s:2"
    assert made("rollout.paused", run=good).link == good


def test_details_keep_numbers_and_lose_nesting() -> None:
    details = made("x.y", number=3, yes=True, none=None, nested={"a": {"b": [1, 2]}}).details
    assert details == {"number": 3, "yes": True, "nested": "a: b: 1, 2"}


def test_the_id_is_of_the_event_and_holds_no_stop() -> None:
    one = event_id("com.example.app", 7, "sha256:ab")
    assert re.fullmatch(r"msg_[0-9a-f]{32}", one)
    assert made("rollout.paused").id == made("anything.else", more="x").id == one
    others = {event_id("com.example.app", 8, "sha256:ab"), event_id("com.example.app", 7, "sha256:ac"), event_id("b", 7, "sha256:ab")}  # fmt: skip
    assert len(others | {one}) == 4
