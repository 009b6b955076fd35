"""Names, paths and addresses."""

from __future__ import annotations

import pytest

from local_cluster.errors import BadRequest
from local_cluster.layout import Layout


def test_nothing_of_two_clusters_is_the_same_outside_their_networks() -> None:
    """Directories, cgroups and host names differ; addresses need not, each has a network of its own."""
    one, other = Layout("one"), Layout("other")

    for mine, theirs in zip(one.machines, other.machines, strict=True):
        assert mine.home != theirs.home
        assert mine.cgroup != theirs.cgroup
        assert mine.name != theirs.name
        assert mine.address == theirs.address


def test_each_machine_has_addresses_of_its_own() -> None:
    """Machines and the ranges of pods do not overlap within a cluster."""
    layout = Layout("one")

    assert len({machine.address for machine in layout.machines}) == 4
    assert len({node.pod_range for node in layout.nodes}) == 3


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "A", "a b", "a" * 31, "roadstead\n"])
def test_a_name_that_is_no_directory_is_refused(name: str) -> None:
    """Before anything is removed below it."""
    with pytest.raises(BadRequest, match="--name"):
        Layout(name)


def test_a_machine_is_found_by_zone_or_name_and_else_all_are_listed() -> None:
    """The sentence of the refusal says what there is."""
    layout = Layout("one")

    assert layout.machine("zone-b") is layout.machine("one-zone-b")
    assert layout.machine("control-plane") is layout.control_plane
    with pytest.raises(BadRequest, match="zone-a, zone-b, zone-c"):
        layout.machine("zone-d")
    with pytest.raises(BadRequest):
        layout.node("control-plane")
