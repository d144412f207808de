from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otagate.errors import UnavailableError
from otagate.server.admin.api import ROUTES
from otagate.telemetry.token_tables import AUDIT, AUDIT_HEAD, TOKENS
from otagate.telemetry.tokens import Limit, Verb
from support.operators import ACTOR, APP, DEVICE, NOW, PEER, Desk

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ONE = {"app_id": APP, "device_id": DEVICE}
SINCE = {"app": APP, "since": "2026-11-21T00:00:00Z"}
UNAUTHORIZED = {"error": "invalid_apikey", "message": "no valid token for this"}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "t.db")
    yield desk
    desk.close()


def last(desk: Desk) -> dict[str, Any]:
    return dict(desk.tokens.audit.newest(1)[0].data)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "{}"},
        {"authorization": "Bearer {}"},
        {"authorization": "bearer   {} "},
        {"capgkey": "{}"},
        {"capgkey": "{}", "authorization": "{}"},
    ],
)
def test_a_token_comes_as_capgo_s_clients_send_it_or_as_bearer(desk: Desk, headers: dict[str, str]) -> None:
    token = desk.token(Verb.METRICS)
    sent = {name: value.format(token) for name, value in headers.items()}
    assert desk.call("GET", "/api/v1/in-use", headers=sent, query=SINCE).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic dTpw"},
        {"authorization": "Bearer"},
        {"authorization": "otg_aaaaaaaaaaaa_" + "A" * 43},
        {"authorization": "\x00\xff"},
        {"authorization": "Bearer {0} {0}"},
        {"x-api-key": "{0}"},
        {"x-limited-key-id": "{0}"},
        {"authorization": "{0}", "capgkey": "otg_aaaaaaaaaaaa_" + "A" * 43},
        {"authorization": "", "capgkey": "{0}"},
    ],
)
def test_anything_else_is_no_token(desk: Desk, headers: dict[str, str]) -> None:
    token = desk.token(Verb.METRICS)
    sent = {name: value.format(token) for name, value in headers.items()}
    reply = desk.call("GET", "/api/v1/in-use", headers=sent, query=SINCE)
    assert (reply.status, reply.body) == (401, UNAUTHORIZED)


def test_a_revoked_and_an_expired_token_are_refused_at_once(desk: Desk) -> None:
    token = desk.token(Verb.METRICS)
    assert desk.call("GET", "/api/v1/in-use", token, query=SINCE).status == 200
    assert desk.call("GET", "/api/v1/in-use", token, query=SINCE, at=NOW + 91 * DAY).body == UNAUTHORIZED
    desk.tokens.revoke(token[4:16], actor=ACTOR, now=NOW)
    assert desk.call("GET", "/api/v1/in-use", token, query=SINCE).body == UNAUTHORIZED


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO", ""])
def test_other_methods_are_refused_without_looking_further(desk: Desk, path: str, method: str) -> None:
    if method in ROUTES[path]:
        assert desk.call(method, path).status == 401
    else:
        assert desk.call(method, path, "garbage").status == 405
    assert "auth.failed" in desk.kinds() or method not in ROUTES[path]


@pytest.mark.parametrize("path", ["/", "/device//", "/DEVICE", "/device/x", "/api/v1", "/api/v1/tokens", "/device%2f"])
def test_other_paths_are_not_there(desk: Desk, path: str) -> None:
    assert desk.call("GET", path, desk.token()).status == 404


def test_a_slash_behind_device_is_fine(desk: Desk) -> None:
    desk.see()
    assert desk.call("GET", "/device/", desk.token(), query=ONE).status == 200


def test_each_call_is_in_the_audit_and_nothing_secret_with_it(desk: Desk) -> None:
    key, token = desk.see(), desk.token()
    desk.call("GET", "/device", token, query=ONE)
    desk.call("POST", "/device", token, body={**ONE, "channel": "beta"})
    desk.call("POST", "/device", token, body={**ONE, "channel": "nowhere"})
    desk.call("DELETE", "/device", token, query=ONE)
    desk.call("GET", "/api/v1/active", token, query=SINCE)
    entries = desk.tokens.audit.entries()[1:]
    assert [(entry.kind, entry.data["allowed"]) for entry in entries] == [
        ("device.read", True),
        ("device.set", True),
        ("device.set", False),
        ("device.unset", True),
        ("metrics.active", True),
    ]
    assert {entry.actor for entry in entries} == {f"token:{token[4:16]}"}
    assert entries[1].data == {"app": APP, "allowed": True, "device": key.hex(), "channel": "beta"}
    assert entries[2].data == {"app": APP, "allowed": False, "error": "channel_not_found"}
    text = json.dumps([dict(entry.data) for entry in entries])
    assert DEVICE not in text
    assert token[17:] not in text
    assert PEER not in text


def test_without_an_audit_nothing_is_changed(desk: Desk) -> None:
    token = desk.token()
    with desk.engines.write() as connection:
        connection.execute(sa.schema.DropTable(AUDIT))
    assert desk.call("POST", "/device", token, body={**ONE, "channel": "beta"}).status == 500
    assert desk.override() is None


def test_a_token_that_ends_while_it_is_used_does_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = desk.token()
    authenticate = desk.tokens.authenticate

    def slow(text: str, now: Any) -> Any:
        found = authenticate(text, now)
        desk.tokens.revoke(text[4:16], actor=ACTOR, now=NOW)
        return found

    monkeypatch.setattr(desk.tokens, "authenticate", slow)
    assert desk.call("POST", "/device", token, body={**ONE, "channel": "beta"}).body == UNAUTHORIZED
    assert desk.override() is None


def test_failures_from_outside_are_one_entry_a_minute(desk: Desk) -> None:
    for at in range(300):
        desk.call("GET", "/device", "nonsense", peer=f"203.0.113.{at % 100}", at=NOW + timedelta(seconds=at))
    assert 5 <= desk.kinds().count("auth.failed") <= 6
    desk.api.close(NOW + timedelta(seconds=300))
    found = [entry.data for entry in desk.tokens.audit.entries()]
    assert sum(entry["count"] for entry in found) == 300
    assert max(entry["addresses"] for entry in found) <= 100
    assert desk.tokens.audit.verify().problems == ()


def test_ten_failures_make_an_address_wait_and_say_how_long(desk: Desk) -> None:
    for _ in range(10):
        assert desk.call("GET", "/device", "nonsense").status == 401
    reply = desk.call("GET", "/device", "nonsense")
    assert (reply.status, reply.retry_after_s) == (429, 60)
    assert reply.body["moreInfo"] == {"retryAfterSeconds": 60}
    assert desk.call("GET", "/device", "nonsense", peer="198.51.100.1").status == 401
    assert desk.call("GET", "/device", "nonsense", at=NOW + timedelta(minutes=1)).status == 401


def test_who_shares_an_address_with_an_attacker_goes_on_with_a_token_that_was_used_there(desk: Desk) -> None:
    known, fresh = desk.token(Verb.METRICS), desk.token(Verb.METRICS)
    assert desk.call("GET", "/api/v1/in-use", known, query=SINCE).status == 200
    for _ in range(20):
        desk.call("GET", "/device", "otg_aaaaaaaaaaaa_" + "A" * 43)
    assert desk.call("GET", "/api/v1/in-use", known, query=SINCE).status == 200
    assert desk.call("GET", "/api/v1/in-use", fresh, query=SINCE).status == 429
    desk.tokens.revoke(known[4:16], actor=ACTOR, now=NOW)
    assert desk.call("GET", "/api/v1/in-use", known, query=SINCE).status == 401
    assert desk.call("GET", "/api/v1/in-use", known, query=SINCE).status == 429


def test_a_blocked_address_costs_the_database_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        desk.call("GET", "/device", "nonsense")
    monkeypatch.setattr(desk.tokens, "_engines", None)
    monkeypatch.setattr(desk.tokens.audit, "_engines", None)
    assert desk.call("GET", "/device", "otg_aaaaaaaaaaaa_" + "A" * 43).status == 429


def test_figures_need_the_verb_and_no_limits(desk: Desk) -> None:
    every = desk.token(Verb.METRICS, apps=Limit.all(), channels=Limit.all())
    assert desk.api.may_read_metrics(every, PEER, NOW)
    assert desk.api.may_read_metrics(f"Bearer {every}", PEER, NOW)
    for refused in (
        None,
        "",
        "Bearer x",
        desk.token(Verb.DEVICE_READ, apps=Limit.all()),
        desk.token(Verb.METRICS),
        desk.token(Verb.METRICS, apps=Limit.all(), channels=Limit.only("beta")),
    ):
        assert not desk.api.may_read_metrics(refused, PEER, NOW)


def test_scrapes_are_in_the_audit_once_an_hour(desk: Desk) -> None:
    token = desk.token(Verb.METRICS, apps=Limit.all())
    for at in range(0, 7200, 60):
        assert desk.api.may_read_metrics(token, PEER, NOW + timedelta(seconds=at))
    assert desk.kinds().count("metrics.scrape") == 3  # half an hour, an hour, half an hour
    desk.tokens.revoke(token[4:16], actor=ACTOR, now=NOW)
    assert not desk.api.may_read_metrics(token, PEER, NOW + 2 * HOUR)


def test_a_database_that_is_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    token = desk.token(Verb.METRICS, apps=Limit.all())

    def away(*_: object) -> None:
        raise UnavailableError("the token cannot be checked")

    monkeypatch.setattr(desk.tokens, "authenticate", away)
    reply = desk.call("GET", "/api/v1/in-use", token, query=SINCE)
    assert (reply.status, reply.retry_after_s, reply.body["error"]) == (503, 5, "unavailable")
    assert not desk.api.may_read_metrics(token, PEER, NOW)


def test_what_is_left_of_the_audit_is_let_go_when_the_database_is_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.call("GET", "/device", "nonsense")
    desk.call("GET", "/device", "nonsense")

    def away(*_: object) -> None:
        raise UnavailableError("the audit cannot be written")

    monkeypatch.setattr(desk.tokens.audit, "append", away)
    desk.api.close(NOW)
    assert desk.kinds() == ["auth.failed"]


def test_a_damaged_token_is_refused(desk: Desk) -> None:
    token = desk.token(Verb.METRICS)
    with desk.engines.write() as connection:
        connection.execute(sa.update(TOKENS).values(apps="[]"))
    assert desk.call("GET", "/api/v1/in-use", token, query=SINCE).status == 500
    with desk.engines.write() as connection:
        connection.execute(sa.schema.DropTable(AUDIT_HEAD))
    assert not desk.api.may_read_metrics(token, PEER, NOW)


@pytest.fixture
def armed(desk: Desk) -> tuple[Desk, str]:
    return desk, desk.token()


WORDS = st.sampled_from(
    ["app_id", "app", "device_id", "channel", "limit", "cursor", "since", "start", "end", "release", "test", "order", "x"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.sampled_from([APP, DEVICE, "beta", "2026-11-21T00:00:00Z", "\ud800", "a\0b", "9" * 5000, "key:" + "0" * 32])
)
BODIES = st.none() | VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(WORDS, VALUES | st.lists(VALUES), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(list(ROUTES)),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    query=st.dictionaries(WORDS, st.text(max_size=40), max_size=6),
    body=BODIES,
)
def test_no_request_makes_it_fall_over(
    armed: tuple[Desk, str], path: str, method: str, query: dict[str, str], body: Any
) -> None:
    desk, token = armed
    reply = desk.call(method, path, token, query=query, body=body)
    assert reply.status in {200, 400, 401, 404, 405, 429}
    if reply.status != 200:
        assert set(reply.body) <= {"error", "message", "moreInfo"}
    json.dumps(reply.body, allow_nan=False).encode()
