"""The /etc of a machine: small, its own, and never the host's."""

import hashlib
import os
import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from local_cluster.errors import BadRequest
from local_cluster.layout import DNS_ADDRESS, DNS_DOMAIN, Layout, Machine, Node

# Without names for protocols, nft lists "6" where kube-proxy wrote "tcp": at each full sync (its start, and
# every hour) kube-proxy then takes its own map of Services for left-overs and empties it.
PROTOCOLS = b"icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n"
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
HOST_AND_PORT = re.compile(HOST_NAME.pattern + r"(:[0-9]{1,5})?")


def base_files(machine: Machine) -> dict[str, bytes]:
    """Path below /etc → content, of what programs look up there; not /etc/hosts, which is added to."""
    resolver = f"search {DNS_DOMAIN}\nnameserver {DNS_ADDRESS}\n" if isinstance(machine, Node) else ""
    return {
        "hostname": f"{machine.name}\n".encode(),
        "machine-id": f"{hashlib.sha256(machine.name.encode()).hexdigest()[:32]}\n".encode(),
        "resolv.conf": resolver.encode(),
        "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
        "passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "group": b"root:x:0:\nnogroup:x:65534:\n",
        "protocols": PROTOCOLS,
    }


def hosts_file(layout: Layout, entries: Mapping[str, str]) -> bytes:
    """/etc/hosts: the machines, then `entries` (host name → IPv4 address). Raises BadRequest."""
    lines = ["127.0.0.1 localhost", *(f"{machine.address} {machine.name}" for machine in layout.machines)]
    lines += [f"{checked_address(address)} {checked_name(name)}" for name, address in entries.items()]
    return ("\n".join(lines) + "\n").encode()


def checked_name(name: str) -> str:
    if not HOST_NAME.fullmatch(name):
        raise BadRequest(f"{name!r} is no host name (lower case letters, digits, '-' and '.')")
    return name


def checked_registry(name: str) -> str:
    """A registry's host, with or without a port, that can be a directory's name. Raises BadRequest."""
    if not HOST_AND_PORT.fullmatch(name):
        raise BadRequest(
            f"{name!r} is no registry's host (a host name, then ':' and a port if it is not 443)"
        )
    return name


def checked_address(address: str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except AddressValueError as error:
        raise BadRequest(f"{address!r} is no IPv4 address: {error}") from error


def holds(etc: Path, files: Mapping[str, bytes]) -> bool:
    """Whether each file is there, with this content."""
    return all((etc / name).exists() and (etc / name).read_bytes() == files[name] for name in files)


def write(etc: Path, files: Mapping[str, bytes]) -> None:
    """Each file appears whole, readable by root alone where it holds a key."""
    for name, content in files.items():
        file = etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        secret = name.endswith((".key", ".kubeconfig"))
        making = file.with_name(f".{file.name}.making")
        with os.fdopen(
            os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644), "wb"
        ) as out:
            out.write(content)
        making.rename(file)
