"""The faults that were published of Capgo's server in June 2026, each asked of ours; and why the others cannot be asked.

**Source:** the CVE records; what they say of the mechanism, in our words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.server.admin.api import ROUTES
from otagate.telemetry.tokens import Limit, Verb
from support.operators import APP, DEVICE, EVERYTHING, NOW, OTHER, Desk, issue, scope

ONE = {"app_id": APP, "device_id": DEVICE}
SPAN = {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T12:00:00Z"}
SINCE = {"since": "2026-11-21T00:00:00Z"}

ASKED_HERE = {
    "CVE-2026-56216": "a key limited to an app made one without limits, by sending empty limits",
    "CVE-2026-56225": "a key limited to an app managed other keys of its owner",
    "CVE-2026-56237": "a client chose the value of its new key by itself",
    "CVE-2026-56222": "a role was bound to an organisation of somebody else",
    "CVE-2026-56323": "private channels and apps could be found out without a key",
    "CVE-2026-56319": "differing errors told which objects exist",
    "CVE-2026-56316": "likewise, of another endpoint",
    "CVE-2026-56299": "OPTIONS went round the check of the key, and failed with 500",
    "CVE-2026-56325": "an underscore in an app id matched any character",
    "CVE-2026-56255": "a call without a key cost many writes",
    "CVE-2026-56324": "the limit of calls went by a device id, which the client chooses",
    "CVE-2026-56231": "an object of another app was reached by its own id",
    "CVE-2026-56228": "an absurd number in a setting locked everybody out",
}
ASKED_ELSEWHERE = {"CVE-2026-56314": "a deleted bundle was still served: tests of server/http/downloads and of the catalog"}
CANNOT_BE = {
    "CVE-2026-56079": "webhooks' secrets and deliveries were readable: this server has no webhooks",
    "CVE-2026-56227": "a webhook's address reached this machine: this server calls no address that a client names",
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "t.db")
    desk.see()
    yield desk
    desk.close()


def test_every_fault_is_asked_or_has_a_reason() -> None:
    names = re.findall(r"^def (test_\w+)", Path(__file__).read_text(), re.MULTILINE)
    asked = {f"CVE-2026-{number}" for name in names for number in re.findall(r"(?:cve_2026|and)_(\d{5})_", name)}
    assert asked == set(ASKED_HERE)
    assert not set(ASKED_HERE) & (set(ASKED_ELSEWHERE) | set(CANNOT_BE))
    assert len(ASKED_HERE) + len(ASKED_ELSEWHERE) + len(CANNOT_BE) == 16


def test_there_is_nothing_else_to_ask() -> None:
    """A route that comes in later has to be weighed against the list, too."""
    assert set(ROUTES) == {
        "/device",
        "/api/v1/metrics",
        "/api/v1/side-by-side",
        "/api/v1/releases",
        "/api/v1/active",
        "/api/v1/heard",
        "/api/v1/plugins",
        "/api/v1/in-use",
    }


@pytest.mark.parametrize("names", [[], [""], ["*"], ["%"], ["all apps"]])
def test_cve_2026_56216_no_limit_is_not_all(names: list[str]) -> None:
    with pytest.raises(UsageError):
        scope(Verb.METRICS, apps=Limit(frozenset(names)))


@pytest.mark.parametrize("path", ["/apikey", "/api/v1/token", "/api/v1/tokens", "/token", "/tokens", "/device/token"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_cve_2026_56225_no_token_manages_tokens(desk: Desk, path: str, method: str) -> None:
    before = desk.tokens.all()
    token = issue(desk.tokens)[1]
    body = {"name": "x", "limited_to_apps": [], "mode": "all", "key": "mine"}
    assert desk.call(method, path, token, body=body).status == 404
    assert len(desk.tokens.all()) == len(before) + 1


def test_cve_2026_56237_nobody_chooses_a_token(desk: Desk) -> None:
    """The value comes from the system's randomness; nothing that makes a token takes one."""
    made = {issue(desk.tokens, EVERYTHING)[1] for _ in range(20)}
    assert len(made) == 20
    body = {**ONE, "channel": "beta", "key": "otg_" + "a" * 12 + "_" + "A" * 43}
    assert desk.call("POST", "/device", made.pop(), body=body).status == 400


@pytest.mark.parametrize("field", ["org_id", "owner_org", "role", "verbs", "apps", "channels", "scope"])
def test_cve_2026_56222_a_request_says_nothing_of_its_own_rights(desk: Desk, field: str) -> None:
    token = desk.token(Verb.DEVICE_READ)
    assert desk.call("GET", "/device", token, query={**ONE, field: "admin"}).body["error"] == "unknown_parameter"
    headers = {"x-limited-key-id": "1", "x-role": "admin", "x-http-method-override": "POST"}
    assert desk.call("GET", "/device", token, query=ONE, headers=headers).status == 200
    assert desk.call("POST", "/device", token, body={**ONE, "channel": "beta"}, headers=headers).status == 401


def test_cve_2026_56323_and_56316_nothing_is_found_out_without_a_token(desk: Desk) -> None:
    """Served apps, other apps and nonsense; a default, a private and a missing channel: one answer."""
    answers = {
        json.dumps([reply.status, reply.body])
        for app in (APP, OTHER, "com.example.none", "", "x")
        for channel in ("stable", "secret", "none")
        for reply in (desk.call("POST", "/device", body={**ONE, "app_id": app, "channel": channel}, peer=f"{app}{channel}"),)
    }
    assert answers == {'[401, {"error": "invalid_apikey", "message": "no valid token for this"}]'}


def test_cve_2026_56319_with_a_token_other_apps_and_missing_ones_look_the_same(desk: Desk) -> None:
    token = desk.token()
    expired = issue(desk.tokens)[1]
    answers = [
        desk.call(method, path, token, query=query, body=body)
        for app in (OTHER, "com.example.none")
        for method, path, query, body in (
            ("GET", "/device", {"app_id": app, "device_id": DEVICE}, None),
            ("GET", "/device", {"app_id": app}, None),
            ("POST", "/device", {}, {"app_id": app, "device_id": DEVICE, "channel": "secret"}),
            ("POST", "/device", {}, {"app_id": app, "device_id": DEVICE, "channel": "none"}),
            ("DELETE", "/device", {"app_id": app, "device_id": DEVICE}, None),
            ("GET", "/api/v1/metrics", {"app": app, "release": "1.4.2", **SPAN}, None),
            ("GET", "/api/v1/side-by-side", {"app": app, "release": "1.4.2", "control": "1.4.1", **SPAN}, None),
            ("GET", "/api/v1/releases", {"app": app, **SPAN}, None),
            ("GET", "/api/v1/active", {"app": app, **SINCE}, None),
            ("GET", "/api/v1/in-use", {"app": app, **SINCE}, None),
        )
    ]
    answers.append(desk.call("GET", "/device", "wrong", query=ONE, peer="other"))
    desk.tokens.revoke(expired[4:16], actor="command:ana", now=NOW)
    answers.append(desk.call("GET", "/device", expired, query=ONE, peer="another"))
    assert {(reply.status, json.dumps(reply.body)) for reply in answers} == {
        (401, '{"error": "invalid_apikey", "message": "no valid token for this"}')
    }
    assert len({reply.note for reply in answers}) == 1


def test_with_a_token_for_all_apps_a_missing_app_looks_like_a_wrong_token(desk: Desk) -> None:
    missing = desk.call("GET", "/device", issue(desk.tokens)[1], query={"app_id": "com.example.none"})
    wrong = desk.call("GET", "/device", "wrong", query={"app_id": APP}, peer="other")
    assert (missing.status, missing.body) == (wrong.status, wrong.body)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("with_token", [True, False])
def test_cve_2026_56299_options_touches_nothing(desk: Desk, path: str, with_token: bool) -> None:
    token = desk.token() if with_token else None
    before = desk.kinds()
    assert desk.call("OPTIONS", path, token, query=ONE, body={**ONE, "channel": "beta"}).status == 405
    assert (desk.kinds(), desk.override()) == (before, None)


@pytest.mark.parametrize(
    ("limit", "asked"),
    [("com.example.a_b", "com.example.axb"), ("com.example.a_b", "com.example.A_B"), ("com.example.app", "com.example.ap_")],
)
def test_cve_2026_56325_app_ids_are_compared_exactly(desk: Desk, limit: str, asked: str) -> None:
    desk.see(app=asked)
    token = desk.token(apps=Limit.only(limit))
    assert desk.call("GET", "/device", token, query={"app_id": asked}).status == 401
    every = issue(desk.tokens)[1]
    assert desk.call("GET", "/device", every, query={"app_id": "com.example.ap_"}).status == 401
    found = desk.telemetry.devices(limit, b"", 10)
    assert {row.app for row in found} <= {limit}


def test_cve_2026_56255_a_call_without_a_token_writes_next_to_nothing(desk: Desk) -> None:
    for at in range(500):
        desk.call("POST", "/device", body={**ONE, "channel": "beta"}, peer=f"198.51.{at % 200}.{at % 100}")
    assert desk.kinds() == ["auth.failed"]


def test_cve_2026_56324_the_limit_goes_by_address(desk: Desk) -> None:
    answers = [
        desk.call("GET", "/device", "wrong", query={"app_id": APP, "device_id": f"{at:08x}{DEVICE[8:]}"}).status
        for at in range(30)
    ]
    assert answers == [401] * 10 + [429] * 20


def test_cve_2026_56231_a_key_of_another_app_reaches_nothing(desk: Desk) -> None:
    """A stored key in the place of a device id is looked up within the app that the token is for."""
    foreign = desk.see(DEVICE, OTHER)
    token = desk.token()
    named = {"app_id": APP, "device_id": f"key:{foreign.hex()}"}
    assert desk.call("GET", "/device", token, query=named).body["error"] == "device_not_found"
    desk.call("POST", "/device", token, body={**named, "channel": "beta"})
    assert desk.override(DEVICE, OTHER) is None
    page = desk.call("GET", "/device", token, query={"app_id": APP, "cursor": "key:" + "0" * 32}).body
    assert {one["app_id"] for one in page["data"]} == {APP}


@pytest.mark.parametrize("number", ["-1", "0", "1e9", "99999999999999999999", "NaN", "Infinity", "0x10", "1.5"])
def test_cve_2026_56228_absurd_numbers_are_refused_and_change_nothing(desk: Desk, number: str) -> None:
    token = desk.token()
    assert desk.call("GET", "/device", token, query={"app_id": APP, "limit": number}).body["error"] == "invalid_limit"
    assert desk.call("GET", "/device", token, query=ONE).status == 200
