"""Relays from the host's loopback into the cluster. Their cgroups carry their names: so they are found."""

import os
import socket
import sys
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from local_cluster.api import Api
from local_cluster.daemon import Daemon, Daemons
from local_cluster.errors import BadRequest, NotRunning
from local_cluster.layout import API_PORT, CONTROL_PLANE_ADDRESS, Layout

PREFIX = "relay"
SEPARATOR = "@"
PORTS = range(1 << 16)


@dataclass(frozen=True, order=True)
class Address:
    """An IPv4 address and a TCP port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """From 127.0.0.1:5000. Raises BadRequest."""
        host, _, port = text.rpartition(":")
        try:
            address, number = str(IPv4Address(host)), int(port)
        except (AddressValueError, ValueError) as error:
            raise BadRequest(f"{text!r} is no IPv4 address and port, such as 127.0.0.1:5000") from error
        if number not in PORTS:
            raise BadRequest(f"{text!r}: a port is at most {PORTS[-1]}")
        return cls(address, number)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


API = Address(CONTROL_PLANE_ADDRESS, API_PORT)


@dataclass(frozen=True, order=True)
class Forward:
    """From an address of the host's loopback to one that the control plane can reach."""

    listen: Address
    target: Address

    @property
    def daemon_name(self) -> str:
        return SEPARATOR.join((PREFIX, str(self.listen), str(self.target)))


def running(host: Daemons) -> list[Forward]:
    words = [name.split(SEPARATOR) for name in host.names()]
    return sorted(
        Forward(Address.parse(each[1]), Address.parse(each[2])) for each in words if each[0] == PREFIX
    )


def api_of(layout: Layout, host: Daemons, certificate: str) -> Api:
    """A client of the API server, through the relay to it. Raises NotRunning where there is none."""
    for forward in running(host):
        if forward.target == API:
            return Api.for_certificate((forward.listen.host, forward.listen.port), layout.pki, certificate)
    raise NotRunning(f"cluster {layout.name} is not running: run `up`")


def start(host: Daemons, cluster: str, listen: Address, target: Address) -> Forward:
    """Starts a relay; where it listens is open when this returns. Port 0 means any that is free.

    A relay of this cluster that listens there for another target gives way. Raises BadRequest for an address
    that is not the host's loopback, or that something else uses.
    """
    if not IPv4Address(listen.host).is_loopback:
        raise BadRequest(f"{listen}: a forward listens on a loopback address only, 127.0.0.0/8")
    for forward in running(host):
        if forward.listen == listen:
            if forward.target == target:
                return forward
            host.stop(forward.daemon_name)
    with listener_at(listen) as listener:
        forward = Forward(Address(*listener.getsockname()), target)
        argv = (str(listener.fileno()), target.host, str(target.port))
        host.start(python(forward.daemon_name, "relay", cluster, *argv), pass_fds=(listener.fileno(),))
    return forward


def listener_at(address: Address) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise BadRequest(f"{address}: cannot listen there: {error.strerror}") from error
    return listener


def python(name: str, module: str, *argv: str) -> Daemon:
    """A module of this package as a daemon of the host."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return Daemon(name, (sys.executable, "-m", f"local_cluster.{module}", *argv), env)
