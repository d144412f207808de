from __future__ import annotations

import pytest

from otagate.errors import UsageError
from otagate.server.transport.proxies import TrustedProxies, peer_of, plain_address

OURS = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2.256", None),
        ("0x7f.1", None),
        ("192.0.2.1, 192.0.2.2", None),
    ],
)
def test_one_spelling_of_an_address(text: str, address: str | None) -> None:
    assert plain_address(text) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.1", [b"203.0.113.5"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", [b"1.2.3.4, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", [b"1.2.3.4", b"203.0.113.5, 10.9.9.9"], "203.0.113.5"),
        ("10.0.0.1", [b"203.0.113.5, 2001:db8::9, 192.0.2.7:80"], "203.0.113.5"),
        ("10.0.0.1", [b"203.0.113.5, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"nonsense"], "10.0.0.1"),
        ("10.0.0.1", [b"\xff\xfe, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"::ffff:203.0.113.5"], "203.0.113.5"),
    ],
)
def test_the_client_is_the_last_that_no_proxy_of_ours_is(peer: str, forwarded: list[bytes], client: str) -> None:
    assert OURS.client(peer, forwarded) == client


def test_nobody_is_trusted_unless_named() -> None:
    assert TrustedProxies([]).client("127.0.0.1", [b"1.2.3.4"]) == "127.0.0.1"


def test_what_is_remembered_is_bounded() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    for number in range(5000):
        assert not proxies.trusts(f"172.16.{number // 256}.{number % 256}")
    assert len(proxies._known) <= 4096
    assert proxies.trusts("10.1.1.1")


@pytest.mark.parametrize("text", ["", "example.com", "10.0.0.1/8", "10.0.0.0/33"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrustedProxies([text])
    assert text in str(caught.value)
    assert "--trusted-proxy" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "address"),
    [(("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"), (("fe80::1%lo", 1, 0, 1), "fe80::1"), ("", "127.0.0.1"), (("odd", 1), "odd")],
)
def test_the_address_of_a_peer(name: object, address: str) -> None:
    assert peer_of(name) == address
