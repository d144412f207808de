from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otagate.server.http.app import UpdateApp
from otagate.server.http.options import HttpOptions
from otagate.server.http.rates import NO_LIMIT, Limits, RouteClass
from support.served import DIGEST, Client, Got, World, device

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.sampled_from(list(device().values())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(device())) | st.text(max_size=10), inner),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries({}, optional=dict.fromkeys([*device(), "action", "channel", "timestamp", "metadata"], VALUES))
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-type", "content-length", "content-encoding", "range", "if-range", "if-none-match", "authorization"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
)


@pytest.fixture(scope="module")
def client() -> Client:
    limits = Limits(address=dict.fromkeys(RouteClass, NO_LIMIT))
    return Client(UpdateApp(World().parts(), HttpOptions(limits=limits)))


def is_well(got: Got | None) -> bool:
    """Tell whether an answer is one that the document knows: no fault of ours, and refusals in their one shape."""
    assert got is not None
    if got.status >= 400 and got.body:
        told = json.loads(got.body)
        assert isinstance(told["error"], str)
        assert isinstance(told["message"], str)
    return got.status in {200, 206, 304, 400, 401, 404, 405, 413, 415, 416, 429}


@MANY
@given(path=st.sampled_from(["/updates", "/stats", "/channel_self", "/device"]), body=st.binary(max_size=300), headers=HEADERS)
def test_any_bytes_are_answered(client: Client, path: str, body: bytes, headers: dict[str, str]) -> None:
    assert is_well(client("POST", path, body, headers=headers))


@MANY
@given(path=st.sampled_from(["/updates", "/stats", "/channel_self"]), told=NEARLY | st.lists(NEARLY, max_size=3) | VALUES)
def test_any_json_is_answered(client: Client, path: str, told: Any) -> None:
    assert is_well(client("POST", path, json.dumps(told).encode()))


@MANY
@given(changes=NEARLY, path=st.sampled_from(["/updates", "/stats", "/channel_self"]))
def test_a_device_that_lies_is_answered(client: Client, path: str, changes: dict[str, Any]) -> None:
    assert is_well(client("POST", path, json.dumps({**device(action="set"), **changes}).encode()))


@MANY
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"]),
    path=st.text(max_size=60) | st.sampled_from([f"/bundles/sha256/{DIGEST.hex}", "/channel_self", "/device", "/openapi.json"]),
    query=st.binary(max_size=60),
    headers=HEADERS,
)
def test_any_path_and_query_are_answered(client: Client, method: str, path: str, query: bytes, headers: dict[str, str]) -> None:
    target = path.replace("?", "") + "?" + query.decode("latin-1")
    assert is_well(client(method, target, headers=headers))


def test_many_at_once_are_answered_each_with_its_own(client: Client) -> None:
    async def together() -> list[Got | None]:
        bodies = [device(device_id=f"00000000-0000-4000-8000-{at:012d}", version_name=f"1.2.{at % 2}") for at in range(200)]
        return await asyncio.gather(*(client.ask("POST", "/updates", json_body=body) for body in bodies))

    found = [got.json() for got in asyncio.run(together()) if got is not None]
    assert [one.get("kind") == "up_to_date" for one in found] == [at % 2 == 0 for at in range(200)]
