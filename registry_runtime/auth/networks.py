"""Subnets that a token may be used from (RFC 4632, RFC 4291)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def contains(networks: tuple[str, ...], address: str) -> bool:
    """Whether the address is in one of them. What cannot be read, on either side, is in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any(network is not None and (mapped or found) in network for network in map(_network, networks))


@lru_cache(maxsize=8192)
def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
