"""What a node runs and reads."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from local_cluster.layout import Layout
from local_cluster.node import (
    SANDBOX,
    cni_config,
    containerd_config,
    knows_zone,
    kube_proxy_config,
    kubelet_config,
    may_lower_oom_score,
    registry_files,
)

NODE = Layout("one").node("zone-b")


def test_a_kubelet_runs_on_v1_and_v2_below_its_own_cgroup() -> None:
    """It does not refuse v1, and uses the same driver as containerd, on either."""
    config = kubelet_config(NODE)

    assert config["failCgroupV1"] is False
    assert (config["cgroupRoot"], config["cgroupDriver"]) == ("/roadstead/one/zone-b", "cgroupfs")


def test_a_full_disk_of_the_host_evicts_nothing() -> None:
    """Neither pods nor preloaded images, which nobody could pull again."""
    config = kubelet_config(NODE)

    assert set(config["evictionHard"].values()) == {"0%"}
    assert config["imageGCHighThresholdPercent"] == 100


def test_kube_proxy_leaves_the_hosts_conntrack_alone() -> None:
    """Its limits are of the whole host; 0 is `do not set`."""
    assert kube_proxy_config(NODE)["conntrack"]["maxPerCore"] == 0
    assert kube_proxy_config(NODE)["mode"] == "nftables"


def test_a_kube_proxy_knows_its_zone_since_its_last_start() -> None:
    """What one before it knew does not count."""
    started, placed = '"Version info" version="v1.36.3"', '"Updated proxier node topology labels" labels={}'
    assert not knows_zone(started)
    assert knows_zone(f"{started}\n{placed}")
    assert not knows_zone(f"{started}\n{placed}\n{started}")


def test_pods_get_addresses_of_their_nodes_range() -> None:
    """With a default route, and their own address wherever they go."""
    plugin = cni_config(NODE)["plugins"][0]

    assert plugin["ipam"]["subnet"] == NODE.pod_range
    assert plugin["ipMasq"] is False


@pytest.mark.parametrize("may", [True, False])
def test_containerds_configuration_is_toml_of_version_3(may: bool) -> None:
    """Scores that the host does not let it lower are left; the sandbox's image is never collected."""
    config = tomllib.loads(containerd_config(Path("/cni"), may_lower_oom_score=may).decode())

    images = config["plugins"]["io.containerd.cri.v1.images"]
    runtime = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert config["version"] == 3
    assert images["pinned_images"] == {"sandbox": SANDBOX}
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert runtime["restrict_oom_score_adj"] is not may
    assert runtime["cni"]["bin_dirs"] == ["/cni"]


def test_the_right_to_lower_a_score_is_read_from_the_capabilities() -> None:
    """CAP_SYS_RESOURCE is bit 24 (capability.h)."""
    assert may_lower_oom_score("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert not may_lower_oom_score("Name:\tx\nCapEff:\t000001fffeffffff\n")


def test_a_trusted_registry_keeps_its_own_name() -> None:
    """hosts.toml carries the authority and no other host: Host header and realm stay what the user wrote."""
    files = registry_files("registry.example:5000", b"PEM")
    folder = "containerd/certs.d/registry.example:5000"

    assert files[f"{folder}/ca.crt"] == b"PEM"
    assert tomllib.loads(files[f"{folder}/hosts.toml"].decode()) == {
        "server": "https://registry.example:5000",
        "ca": f"/etc/{folder}/ca.crt",
    }
