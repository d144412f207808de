"""Whatever comes, in whatever pieces: nothing is raised, nothing is left behind, and every answer is whole."""

from __future__ import annotations

import asyncio
import random

import pytest

from support.raw_http import Echo, Line, post, request

SEEDS = [
    request("GET", "/a?b=c", "X: y"),
    post(b'{"a": 1}', "Content-Type: application/json"),
    request("POST", "/", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2;e=f\r\nde\r\n0\r\nT: u\r\n\r\n"),
    request("POST", "/", "Content-Length: 3", "Expect: 100-continue", body=b"abc"),
    request("HEAD", "/", "Connection: close"),
    request("GET", "/", "X-Forwarded-For: 1.2.3.4", version="1.0"),
    b"\r\n\r\n",
]
WORDS = [
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b":",
    b"%",
    b"\xff",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
]


def mangled(luck: random.Random) -> list[bytes]:
    """Give a few requests on end, with a few changes, in pieces."""
    raw = bytearray(b"".join(luck.choices(SEEDS, k=luck.randint(1, 12))))
    for _ in range(luck.choice([0, 0, 1, 2, 5])):
        at = luck.randrange(len(raw) + 1)
        raw[at : at + luck.choice([0, 0, 1, 4])] = luck.choice([*WORDS, bytes([luck.randrange(256)])])
    cuts = sorted(luck.choices(range(len(raw) + 1), k=luck.choice([0, 1, 3, 20])))
    return [bytes(raw[start:end]) for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True) if start < end]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_breaks_and_nothing_is_left(seed: int) -> None:
    luck = random.Random(seed)

    async def talk(pieces: list[bytes]) -> None:
        gate = asyncio.Event()
        line = Line(Echo(gate=gate if luck.random() < 0.5 else None), proxies=("192.0.2.0/24",))
        heard = ""
        for piece in pieces:
            if line.wire.closed:
                break
            heard += await line.say(piece) if luck.random() < 0.7 else ""
            if luck.random() < 0.2:
                heard += await line.after(luck.choice([0.5, 6, 20]))
        gate.set()
        await line.settle()
        heard += line.heard()
        assert len(line.app.scopes) >= heard.count("HTTP/1.1 200")
        assert heard.count("HTTP/1.1 4") + heard.count("HTTP/1.1 5") <= 1
        assert "HTTP/1.1 500" not in heard
        line.protocol.connection_lost(None)
        await line.settle()
        traffic = line.traffic
        assert (traffic.buffered, traffic.in_flight, traffic.connections, len(line.state.tasks)) == (0, 0, 0, 0)

    async def talks() -> None:
        for _ in range(60):
            await talk(mangled(luck))

    asyncio.run(talks())
