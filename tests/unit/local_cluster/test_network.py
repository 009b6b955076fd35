"""Lines for ip(8)."""

from __future__ import annotations

from local_cluster.layout import Layout
from local_cluster.network import hardware_address, node_lines, switch_lines

NODES = Layout("one").nodes


def test_a_hardware_address_follows_from_the_address() -> None:
    """Local and unicast (the second lowest bit is set, the lowest not), and another for each machine."""
    assert hardware_address("10.89.0.11") == "02:00:0a:59:00:0b"
    assert len({hardware_address(node.address) for node in NODES}) == 3


def test_a_node_reaches_the_pods_of_the_others_through_them() -> None:
    """And never its own by a detour."""
    lines = node_lines(NODES[0], NODES)

    assert "route replace 10.244.2.0/24 via 10.89.0.12" in lines
    assert "route replace 10.244.3.0/24 via 10.89.0.13" in lines
    assert not [line for line in lines if NODES[0].pod_range in line]


def test_there_is_no_way_out() -> None:
    """No default route anywhere: a pod cannot reach what is outside."""
    lines = switch_lines(NODES) + [line for node in NODES for line in node_lines(node, NODES)]

    assert not [line for line in lines if "default" in line or "/0" in line]


def test_every_line_can_be_run_again() -> None:
    """`up` runs them again on what is there."""
    lines = switch_lines(NODES) + node_lines(NODES[0], NODES)

    assert all(line.split()[1] in {"set", "replace"} for line in lines)
