from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otagate.telemetry.interface import CHOSEN
from otagate.telemetry.tokens import Limit, Verb
from support.operators import APP, DEVICE, NOW, OTHER, Desk

ONE = {"app_id": APP, "device_id": DEVICE}
BETA = Limit.only("beta")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "t.db")
    yield desk
    desk.close()


def put(desk: Desk, token: str, channel: str = "beta", **more: Any) -> Any:
    return desk.call("POST", "/device", token, body={**ONE, "channel": channel, **more})


def test_a_device_as_it_is_known(desk: Desk) -> None:
    desk.see()
    reply = desk.call("GET", "/device", desk.token(Verb.DEVICE_READ), query=ONE)
    assert reply.status == 200
    assert reply.body == {
        "updated_at": "2026-11-21T09:00:00.000000Z",
        "device_id": DEVICE,
        "custom_id": "",
        "is_prod": True,
        "is_emulator": False,
        "is_test": False,
        "install_source": None,
        "version_name": "1.4.1",
        "target": "1.4.2",
        "app_id": APP,
        "platform": "ios",
        "plugin_version": "7.30.1",
        "os_version": "",
        "version_build": "1.2.0",
        "key_id": None,
        "country_code": None,
        "followed_channel": "stable",
        "chosen_channel": None,
    }


def test_of_a_test_device_it_is_not_known_which_kind(desk: Desk) -> None:
    desk.see(is_test=True)
    found = desk.call("GET", "/device", desk.token(), query=ONE).body
    assert (found["is_test"], found["is_prod"], found["is_emulator"]) == (True, None, None)


def test_an_id_is_the_same_in_capitals(desk: Desk) -> None:
    desk.see()
    query = {**ONE, "device_id": DEVICE.upper()}
    assert desk.call("GET", "/device", desk.token(), query=query).body["device_id"] == DEVICE


def test_capgo_s_clients_send_a_body_with_get_and_delete(desk: Desk) -> None:
    desk.see()
    token = desk.token()
    assert desk.call("GET", "/device", token, body=ONE).status == 200
    assert desk.call("DELETE", "/device", token, body=ONE).body == {"status": "ok"}


def test_an_override_is_set_seen_and_taken_back(desk: Desk) -> None:
    desk.see()
    token = desk.token()
    assert put(desk, token).body == {"status": "ok"}
    assert desk.override() == "beta"
    assert desk.call("GET", "/device", token, query=ONE).body["channel"] == "beta"
    assert put(desk, token, "internal").status == 200
    assert desk.override() == "internal"
    assert desk.call("DELETE", "/device", token, query=ONE).status == 200
    assert desk.call("DELETE", "/device", token, query=ONE).status == 200
    assert desk.override() is None
    assert "channel" not in desk.call("GET", "/device", token, query=ONE).body


def test_a_device_that_was_never_seen_can_have_an_override(desk: Desk) -> None:
    token = desk.token()
    assert desk.call("GET", "/device", token, query=ONE).body["error"] == "device_not_found"
    put(desk, token)
    desk.choices.refresh()
    found = desk.call("GET", "/device", token, query=ONE).body
    assert (found["channel"], found["updated_at"], found["platform"]) == ("beta", None, None)
    desk.telemetry.assign(APP, desk.key(APP, DEVICE), CHOSEN, "internal", NOW)
    desk.call("DELETE", "/device", token, query=ONE)
    desk.choices.refresh()
    found = desk.call("GET", "/device", token, query=ONE).body
    assert (found["chosen_channel"], "channel" in found) == ("internal", False)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"device_id": DEVICE, "channel": "beta"}, 400, "missing_app_id"),
        ({"app_id": APP, "channel": "beta"}, 400, "missing_device_id_or_app_id"),
        ({**ONE}, 400, "missing_channel"),
        ({**ONE, "channel": ""}, 400, "missing_channel"),
        ({**ONE, "channel": "nowhere"}, 404, "channel_not_found"),
        ({**ONE, "channel": "BETA"}, 404, "channel_not_found"),
        ({**ONE, "channel": "be%"}, 400, "invalid_channel"),
        ({**ONE, "channel": "stable"}, 400, "public_channel_override"),
        ({**ONE, "channel": "beta", "version_id": 7}, 400, "invalid_version_id"),
        ({**ONE, "channel": "beta", "version": "1.0.0"}, 400, "unknown_parameter"),
        ({**ONE, "channel": ["beta"]}, 400, "invalid_parameter"),
        ({**ONE, "channel": 1.5}, 400, "invalid_parameter"),
        ({**ONE, "device_id": "x" * 37, "channel": "beta"}, 400, "invalid_device_id"),
        ({**ONE, "device_id": "a\0b", "channel": "beta"}, 400, "invalid_device_id"),
        ({**ONE, "device_id": "' OR 1=1 --", "channel": "beta"}, 400, "invalid_device_id"),
        ({**ONE, "app_id": "x", "channel": "beta"}, 400, "invalid_app_id"),
        ([], 400, "invalid_json_body"),
        ("text", 400, "invalid_json_body"),
        (None, 400, "missing_app_id"),
    ],
)
def test_what_a_request_for_an_override_can_get_wrong(desk: Desk, body: Any, status: int, error: str) -> None:
    reply = desk.call("POST", "/device", desk.token(), body=body, query={**ONE, "channel": "beta"})
    assert (reply.status, reply.body["error"]) == (status, error)
    assert desk.override() is None


def test_one_name_in_query_and_body_is_refused(desk: Desk) -> None:
    desk.see()
    reply = desk.call("GET", "/device", desk.token(), query=ONE, body={"device_id": "other"})
    assert reply.body["error"] == "ambiguous_parameter"


def test_a_token_for_one_channel_gives_that_channel_only(desk: Desk) -> None:
    token = desk.token(Verb.DEVICE_WRITE, channels=BETA)
    assert put(desk, token, "beta").status == 200
    hidden, missing = put(desk, token, "internal"), put(desk, token, "nowhere")
    assert (hidden.status, hidden.body) == (missing.status, missing.body) == (404, missing.body)
    assert desk.override() == "beta"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_token_for_one_channel_undoes_no_override_to_another(desk: Desk, is_known: bool) -> None:
    if is_known:
        desk.see()
    limited = desk.token(Verb.DEVICE_WRITE, channels=BETA)
    put(desk, desk.token(), "internal")
    desk.choices.refresh()
    assert put(desk, limited, "beta").body["error"] == "device_not_found"
    assert desk.call("DELETE", "/device", limited, query=ONE).body["error"] == "device_not_found"
    assert desk.override() == "internal"
    put(desk, desk.token(), "beta")
    desk.choices.refresh()
    assert desk.call("DELETE", "/device", limited, query=ONE).status == 200


def test_a_token_for_one_channel_sees_devices_of_that_channel_only(desk: Desk) -> None:
    desk.see()
    token = desk.token(Verb.DEVICE_READ, channels=BETA)
    unknown = desk.call("GET", "/device", token, query={**ONE, "device_id": DEVICE[::-1]})
    assert desk.call("GET", "/device", token, query=ONE).body == unknown.body
    assert desk.call("GET", "/device", token, query={"app_id": APP}).body["data"] == []
    put(desk, desk.token())
    assert desk.call("GET", "/device", token, query=ONE).status == 200
    put(desk, desk.token(), channel="internal", device_id=DEVICE[::-1])
    desk.choices.refresh()
    assert desk.call("GET", "/device", token, query={**ONE, "device_id": DEVICE[::-1]}).status == 404


def test_verbs_are_apart(desk: Desk) -> None:
    desk.see()
    for token in (desk.token(Verb.DEVICE_WRITE), desk.token(Verb.METRICS)):
        assert desk.call("GET", "/device", token, query=ONE).status == 401
    for token in (desk.token(Verb.DEVICE_READ), desk.token(Verb.METRICS)):
        assert put(desk, token).status == 401
        assert desk.call("DELETE", "/device", token, query=ONE).status == 401


def ids(count: int) -> list[str]:
    return [f"{at:08x}{DEVICE[8:]}" for at in range(count)]


def test_a_list_comes_in_pages_and_its_names_are_taken_back(desk: Desk) -> None:
    for device in ids(7):
        desk.see(device)
    desk.see(DEVICE, OTHER)
    token, found, query = desk.token(), [], {"app_id": APP, "limit": "3"}
    while True:
        page = desk.call("GET", "/device", token, query=query).body
        found += page["data"]
        if not page["hasMore"]:
            break
        query["cursor"] = page["nextCursor"]
    assert page["nextCursor"] is None
    assert {one["device_id"] for one in found} == {f"key:{desk.key(APP, device).hex()}" for device in ids(7)}
    again = desk.call("GET", "/device", token, query={"app_id": APP, "device_id": found[0]["device_id"]}).body
    assert again == found[0]
    reply = desk.call("POST", "/device", token, body={"app_id": APP, "device_id": found[0]["device_id"], "channel": "beta"})
    assert reply.status == 200
    assert sum(desk.override(device) == "beta" for device in ids(7)) == 1


def test_a_number_of_devices_may_be_a_number(desk: Desk) -> None:
    desk.see()
    assert len(desk.call("GET", "/device", desk.token(), body={"app_id": APP, "limit": 5}).body["data"]) == 1


def test_only_devices_that_were_seen_since(desk: Desk) -> None:
    desk.see()
    token = desk.token()
    for since, count in (("2026-11-21T08:59:59Z", 1), ("2026-11-21T09:00:00Z", 0)):
        page = desk.call("GET", "/device", token, query={"app_id": APP, "updated_at": since}).body
        assert len(page["data"]) == count


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"limit": "0"}, "invalid_limit"),
        ({"limit": "1001"}, "invalid_limit"),
        ({"limit": "-1"}, "invalid_limit"),
        ({"limit": "1e3"}, "invalid_limit"),
        ({"limit": "٣"}, "invalid_limit"),
        ({"limit": "9" * 5000}, "invalid_limit"),
        ({"cursor": "x"}, "invalid_cursor"),
        ({"cursor": "key:" + "0" * 31}, "invalid_cursor"),
        ({"order": "asc"}, "unsupported_parameter"),
        ({"customIdMode": "true"}, "unsupported_parameter"),
        ({"customIdMode": "maybe"}, "invalid_customIdMode"),
        ({"updated_at": "yesterday"}, "invalid_updated_at"),
        ({"updated_at": "2026-11-21"}, "invalid_updated_at"),
        ({"range": "1"}, "unknown_parameter"),
    ],
)
def test_what_a_request_for_a_list_can_get_wrong(desk: Desk, query: dict[str, str], error: str) -> None:
    reply = desk.call("GET", "/device", desk.token(), query={"app_id": APP, **query})
    assert (reply.status, reply.body["error"]) == (400, error)
