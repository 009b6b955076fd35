"""What the local cluster is for: zones that fail, a control plane that is away, and coming back."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_cluster import archive
from local_cluster.cgroups import Cgroups
from local_cluster.cluster import Cluster
from local_cluster.errors import BadRequest, CommandFailed, NotRunning
from local_cluster.layout import STATE, ZONES
from local_cluster.parts import Parts
from tests.cluster.pods import Pods, until

pytestmark = pytest.mark.cluster
USUAL = (  # where the daemons write when nobody tells them otherwise
    *("/etc/cni", "/etc/containerd", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/opt/nri"),
    *("/run/containerd", "/run/netns", "/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/containerd"),
    *("/var/lib/etcd", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"),
)
LOST_SECONDS = 25  # the grace of 12 s, twice
PROJECT = Path(__file__).parent.parent.parent


def test_up_again_starts_nothing(
    cluster: Cluster, measured: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs goes on in the same processes; how long both took is printed, and measured by nobody."""
    before = processes(cluster)
    started = time.monotonic()
    cluster.up()
    again = time.monotonic() - started

    with capsys.disabled():
        print(
            f"\n    up {measured['up']:.1f} s, again {again:.1f} s, load {measured['load']:.1f} for each CPU"
        )
    after = processes(cluster)
    assert before
    assert after.keys() == before.keys()
    assert all(found <= after[daemon] for daemon, found in before.items())
    assert cluster.status().ready


def processes(cluster: Cluster) -> dict[tuple[str, str], set[int]]:
    """Of each daemon of each machine."""
    found = {}
    for machine in cluster.status().machines:
        daemons = cluster.machines[machine.name].daemons
        for name in machine.daemons:
            found[machine.name, name] = set(daemons.cgroups.processes(daemons.leaf(name)))
    return found


def test_a_cut_zone_leaves_the_endpoints_and_comes_back(pods: Pods) -> None:
    """The node becomes NotReady, requests then only meet the other two zones; all is well after `heal`."""
    pods.everywhere("web")
    listen = pods.cluster.forward("127.0.0.1:0", f"web.{pods.namespace}:80")

    pods.cluster.cut("zone-b")
    try:
        assert [machine.name for machine in pods.cluster.status().machines if not machine.linked] == [
            f"{pods.cluster.layout.name}-zone-b"
        ]
        pods.until_endpoints("web", 2, LOST_SECONDS)
        pods.until_served("web-zone-a", "http://web", {"web-zone-a", "web-zone-c"}, 5)
        assert {ask(listen.host, listen.port) for _attempt in range(30)} == {"web-zone-a", "web-zone-c"}
    finally:
        pods.cluster.heal("zone-b")
    pods.until_endpoints("web", 3, LOST_SECONDS)
    pods.until_served("web-zone-a", "http://web", {f"web-{zone}" for zone in ZONES}, 5)


def test_a_lost_zone_breaks_no_connection_to_another(pods: Pods) -> None:
    """A connection from this machine to a pod in zone-a lives on when the others are cut and healed."""
    pods.in_zone("web", "zone-a", app="web")
    pods.service("web")
    pods.wait()
    pods.until_endpoints("web", 1, 10)
    listen = pods.cluster.forward("127.0.0.1:0", f"web.{pods.namespace}:80")
    until("the Service's rules", lambda: ask(listen.host, listen.port) == "web", 5)
    connection = http.client.HTTPConnection(listen.host, listen.port, timeout=2)

    answers = []
    for change in (None, pods.cluster.cut, pods.cluster.heal):
        for zone in ("zone-b", "zone-c"):
            if change:
                change(zone)
            connection.request("GET", "/")
            answers.append(connection.getresponse().read())
    connection.close()

    assert answers == [b"web"] * 6


def ask(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"error: {error}"
    finally:
        connection.close()


def test_a_crashed_zone_leaves_the_endpoints_and_boots(pods: Pods) -> None:
    """All of its processes are gone at once; `boot` brings the node back, with its pods and its images."""
    pods.everywhere("web")
    cluster = pods.cluster

    cluster.crash("zone-c")

    assert cluster.cgroups.processes(cluster.layout.node("zone-c").cgroup) == []
    with pytest.raises(NotRunning, match="boot it"):
        cluster.exec("zone-c", ["true"])
    pods.until_endpoints("web", 2, LOST_SECONDS)
    cluster.boot("zone-c")
    pods.until_endpoints("web", 3, LOST_SECONDS)
    pods.until_served("web-zone-a", "http://web", {f"web-{zone}" for zone in ZONES}, 5)


def test_up_mends_what_has_ended(cluster: Cluster) -> None:
    """A node that crashed, a link that is cut and a daemon that was killed: one `up` for all."""
    cluster.crash("zone-a")
    cluster.cut("zone-b")
    cluster.machine("zone-c").daemons.stop("coredns")

    cluster.up()

    status = cluster.status()
    assert status.ready
    assert all(machine.linked and len(machine.daemons) == 4 for machine in status.machines)


def test_services_survive_a_full_sync_of_kube_proxy(pods: Pods) -> None:
    """kube-proxy compares what is there with what it wants at its start and every hour: nothing gets lost."""
    pods.everywhere("web")
    cluster = pods.cluster
    for _ in range(2):  # what one start takes away the next one would bring again
        cluster.machine("zone-a").daemons.stop("kube-proxy")
        cluster.up()
        time.sleep(3)
        rules = cluster.exec("zone-a", ["nft", "list", "map", "ip", "kube-proxy", "service-ips"]).stdout
        assert rules.count(b"goto") >= 2
    assert set(pods.get_from("web-zone-a", "http://web", times=20)) == {f"web-{zone}" for zone in ZONES}


def test_the_zones_go_on_without_the_api_server(pods: Pods) -> None:
    """With the API server away, names resolve and Services answer; afterwards it is as before."""
    pods.everywhere("web")
    pods.cluster.stop_apiserver()
    with pytest.raises(CommandFailed):
        pods.cluster.kubectl("get", "nodes", "--request-timeout=1s")
    listen = pods.cluster.forward("127.0.0.1:0", f"{pods_address(pods)}:80")
    assert ask(listen.host, listen.port).startswith("web-zone-")

    pods.cluster.start_apiserver()

    assert len(pods.get("pods")["items"]) == 3


def pods_address(pods: Pods) -> str:
    """The Service's ClusterIP, asked of the node's DNS: the API server is away."""
    name = f"web.{pods.namespace}.svc.cluster.local"
    found = pods.cluster.exec("zone-a", ["getent", "ahostsv4", name]).stdout.decode()
    return found.split()[0]


def test_an_image_is_loaded_once(cluster: Cluster, tmp_path: Path) -> None:
    """Every node has it after the first time; the second time says so, and does nothing."""
    said: list[str] = []
    teller = Cluster(cluster.layout.name, cluster.parts, said.append)
    content = {"hello": os.urandom(100_000)}
    archive.write(tmp_path / "image.tar", "localhost/once:1", content, {"Entrypoint": ["/hello"]})

    teller.load([tmp_path / "image.tar"])
    teller.load([tmp_path / "image.tar"])

    assert said == ["localhost/once:1: loaded", "localhost/once:1: already there"]
    for node in cluster.layout.nodes:
        listed = cluster.exec(node.zone, ["ctr", "-n", "k8s.io", "images", "list", "-q"]).stdout.decode()
        assert "localhost/once:1" in listed.split()


def test_what_is_not_an_image_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    """With its path and what it should be, before any node has seen it."""
    (tmp_path / "notes.txt").write_text("no image")

    with pytest.raises(BadRequest, match=r"notes\.txt: not a docker-archive"):
        cluster.load([tmp_path / "notes.txt"])


def test_the_host_is_left_alone(cluster: Cluster) -> None:
    """While the cluster runs, this machine has none of its links, routes, rules, mounts, settings, files."""
    assert cluster.status().ready
    assert "10.89.0" not in output("ip", "address") + output("ip", "route", "show", "table", "all")
    assert "local-cluster" not in output("nft", "list", "ruleset")
    assert "kube-proxy" not in output("nft", "list", "ruleset")
    assert str(STATE) not in Path("/proc/self/mountinfo").read_text()
    inside = cluster.exec("zone-a", ["cat", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic"])
    assert inside.stdout == b"1\n10\n"
    begun = cluster.layout.pki.stat().st_mtime
    assert [path for path in USUAL if Path(path).exists() and Path(path).stat().st_mtime >= begun] == []


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.6, 0.9, 1.4, 2.0, 3.0])
def test_down_leaves_nothing_of_an_up_that_was_killed(parts: Parts, seconds: float) -> None:
    """Killed at any moment, beside another cluster that runs: no process, cgroup or file stays."""
    name = "roadstead-killed"
    starter = subprocess.Popen([sys.executable, "-m", "local_cluster", "--name", name, "up"], cwd=PROJECT)
    time.sleep(seconds)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    cluster = Cluster(name, parts)

    started = time.monotonic()
    cluster.down()
    took = time.monotonic() - started

    assert took < 5
    assert not cluster.layout.state.exists()
    assert traces_of(cluster) == []


def traces_of(cluster: Cluster) -> list[str]:
    """Cgroups of the cluster, and processes that have its name in their words."""
    trees = Cgroups.of_host().tree.hierarchies
    groups = [str(tree.mount) for tree in trees if (tree.mount / cluster.layout.cgroup.lstrip("/")).exists()]
    words = [
        file for file in Path("/proc").glob("[0-9]*/cmdline") if cluster.layout.name.encode() in read(file)
    ]
    return groups + [f"{file}: {read(file)!r}" for file in words if f"/{os.getpid()}/" not in str(file)]


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_up_completes_what_a_killed_up_began(parts: Parts) -> None:
    """Killed half way twice, the third `up` has a cluster that is ready."""
    cluster = Cluster("roadstead-killed", parts)
    try:
        for seconds in (0.5, 1.2):
            argv = [sys.executable, "-m", "local_cluster", "--name", cluster.layout.name, "up"]
            starter = subprocess.Popen(argv, cwd=PROJECT)
            time.sleep(seconds)
            starter.kill()
            starter.wait()

        cluster.up()

        assert cluster.status().ready
    finally:
        cluster.down()


def test_the_command_line_tells_and_refuses(cluster: Cluster) -> None:
    """`status` lists machines and forwards; a wrong word ends with one sentence and status 1."""
    argv = [sys.executable, "-m", "local_cluster", "--name", cluster.layout.name]
    status = subprocess.run([*argv, "status"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    refused = subprocess.run(
        [*argv, "cut", "zone-x"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    hostname = subprocess.run(
        [*argv, "exec", "zone-a", "--", "hostname"], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert all(node.name in status for node in cluster.layout.machines)
    assert "→ 10.89.0.1:6443" in status
    assert refused.returncode == 1
    assert refused.stderr.startswith("'zone-x' is no zone or node")
    assert hostname.stdout == f"{cluster.layout.name}-zone-a\n"
