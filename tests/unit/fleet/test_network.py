from __future__ import annotations

import random

from otagate.fleet.network import Network, Traffic
from support.hand_made_server import BASE, HandMadeServer

DATA = bytes(range(256)) * 64


def test_an_answer_that_the_fleet_lost_is_known_to_it() -> None:
    server, chance = HandMadeServer(), random.Random(3)
    network = Network(server, loss=0.5)
    found = [network.request("POST", f"{BASE}/updates", {}, at=0.0, chance=chance) for _n in range(400)]
    never = [one for one in found if one.given is None]
    back = [one for one in found if one.given is not None and one.answer is None]
    assert all(one.is_sure for one in found)
    assert 60 < len(never) < 140
    assert 60 < len(back) < 140
    assert len(server.requests) == 400 - len(never)
    assert network.traffic.answers == {("POST updates", 0): len(never), ("POST updates", 200): 400 - len(never)}


def test_a_real_network_that_fails_leaves_a_doubt() -> None:
    network = Network(HandMadeServer(is_dead=True))
    exchange = network.request("POST", f"{BASE}/stats", {}, at=0.0, chance=random.Random(1))
    assert (exchange.answer, exchange.given, exchange.is_sure) == (None, None, False)
    assert network.download(f"{BASE}/a", 0, at=0.0, chance=random.Random(1)) == (0, b"")
    assert (network.traffic.requests, network.traffic.errors) == (2, 2)


def test_downloads_are_cut_or_do_not_begin() -> None:
    server, chance = HandMadeServer(blobs={"u": DATA}), random.Random(3)
    network = Network(server, loss=0.5)
    found = [network.download("u", 0, at=0.0, chance=chance) for _n in range(200)]
    whole = [data for status, data in found if status == 200]
    cut = [data for status, data in found if status == 0 and data]
    assert all(data == DATA for data in whole)
    assert all(0 < len(data) < len(DATA) and DATA.startswith(data) for data in cut)
    assert len(cut) > 20
    assert any(status == 0 and not data for status, data in found)


def test_the_sample_of_times_is_bounded() -> None:
    traffic = Traffic()
    for at in range(12_000):
        traffic.note("x", 500 if at % 2 else 200, float(at))
    assert len(traffic.latencies_s) == 10_000
    assert (traffic.requests, traffic.errors, max(traffic.latencies_s)) == (12_000, 6_000, 11_999.0)
