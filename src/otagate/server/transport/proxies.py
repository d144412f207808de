"""Whose word about a client's address is believed."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from otagate._text import harmless
from otagate.errors import UsageError

_KEPT = 4096
"""Answers that are remembered; reading an address costs microseconds."""


def plain_address(text: str) -> str | None:
    """Give an address in its one spelling, an IPv4 address in IPv6 clothes as IPv4; None: it is none.

    A port is left away, as some proxies add it: ``192.0.2.1:443``, ``[2001:db8::1]:443``.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def peer_of(name: Any) -> str:
    """Give the address of a socket's peer name in its one spelling; a local socket has none: ``127.0.0.1``."""
    if isinstance(name, tuple) and name:
        return plain_address(str(name[0])) or str(name[0])
    return "127.0.0.1"


class TrustedProxies:
    """The proxies in front of this server.

    Args:
        networks: Addresses or networks, such as ``10.0.0.0/8``.

    Raises:
        UsageError: One of them is neither.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [_network(text) for text in networks]
        self._known: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        """Tell whether an address, in its one spelling, is one of the proxies."""
        if not self._networks:
            return False
        answer = self._known.get(address)
        if answer is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            parsed = ip_address(address)
            answer = self._known[address] = any(parsed in network for network in self._networks)
        return answer

    def client(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Give the client's address: the right-most one that is not one of the proxies.

        Only what a trusted proxy wrote is believed: reading stops at the first address that none of them has, and at
        the first word that is no address. What a client itself put in front is never looked at.

        Args:
            peer: Who is connected, in its one spelling.
            forwarded: Values of ``X-Forwarded-For``, in order.
        """
        if not self.trusts(peer):
            return peer
        client = peer
        for word in reversed(b",".join(forwarded).decode("latin-1").split(",")):
            address = plain_address(word)
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return client


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise UsageError(
            "this is no address and no network",
            "--trusted-proxy " + harmless(text),
            expected="such as 10.0.0.0/8 or 192.0.2.7",
            found=harmless(str(error)),
            remedy="name the addresses of the load balancer or proxy",
        ) from error
