"""Addresses of forwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cluster.cgroups import Cgroups, CgroupTree, Hierarchy
from local_cluster.daemon import Daemons
from local_cluster.errors import BadRequest
from local_cluster.forwards import Address, Forward, listener_at, running, start


def nowhere(folder: Path) -> Daemons:
    """Daemons in directories that stand in for cgroups."""
    tree = CgroupTree((Hierarchy(folder / "cgroup", unified=True, controllers=frozenset()),))
    return Daemons(Cgroups(tree), "/one/host", folder / "log")


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", ":80", "localhost:80", "1.2.3:80", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"],
)
def test_an_address_is_ipv4_and_a_port(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(BadRequest):
        Address.parse(text)


def test_a_forward_never_listens_to_the_network(tmp_path: Path) -> None:
    """Only the host's loopback: a cluster with its admin's rights must not be reached from outside."""
    for host in ("0.0.0.0", "10.0.0.1"):  # noqa: S104 - it is refused
        with pytest.raises(BadRequest, match="loopback"):
            start(nowhere(tmp_path), "one", Address(host, 0), Address("10.96.0.1", 80))


def test_an_address_in_use_is_refused_by_name() -> None:
    """With the kernel's reason."""
    with listener_at(Address("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        with pytest.raises(BadRequest, match=f"{address.port}: cannot listen there: Address already in use"):
            listener_at(address)


def test_what_runs_is_read_from_the_names_of_its_cgroups(tmp_path: Path) -> None:
    """A relay whose cgroup is empty has ended, and does not count."""
    here, gone = (Forward(Address("127.0.0.1", port), Address("10.96.0.1", 80)) for port in (5000, 5001))
    for forward, processes in ((here, "1\n"), (gone, "")):
        leaf = tmp_path / "cgroup" / "one" / "host" / forward.daemon_name
        leaf.mkdir(parents=True)
        (leaf / "cgroup.procs").write_text(processes)
    (tmp_path / "cgroup" / "one" / "host" / "enforcer").mkdir()

    assert running(nowhere(tmp_path)) == [here]
