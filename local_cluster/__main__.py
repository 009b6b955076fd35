"""`python -m local_cluster [--name NAME] VERB …`: Kubernetes in three zones, without a trace after."""

import argparse
import signal
import sys
import time
from pathlib import Path

from local_cluster import preflight
from local_cluster.build import cache_root
from local_cluster.cluster import Cluster
from local_cluster.errors import ClusterError
from local_cluster.parts import Parts
from local_cluster.status import MachineStatus

INTERRUPTED = 128 + signal.SIGINT
ZONE_VERBS = {
    "cut": "cut a zone's link: everything sent into it or out of it is lost",
    "heal": "join a zone's link again",
    "crash": "end a zone's node at once, as if its power had failed",
    "boot": "start a zone's node that has crashed",
}
PLAIN_VERBS = {
    "up": "start what is not running; return when all nodes are ready",
    "down": "end everything and leave nothing",
    "status": "show the machines and the forwards",
    "kubeconfig": "print the path of the kubeconfig",
    "stop-apiserver": "end the API server alone",
    "start-apiserver": "start the API server again",
    "restart-control-plane": "switch the control plane off and on",
}


def main() -> int:
    arguments = parser().parse_args()
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {line}", flush=True)

    try:
        preflight.require_root()
        run(Cluster(arguments.name, Parts(cache_root()), report), arguments)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: `up` goes on from here, `down` leaves nothing", file=sys.stderr)
        return INTERRUPTED
    return 0


def run(cluster: Cluster, arguments: argparse.Namespace) -> None:
    match arguments.verb:
        case "status":
            show(cluster)
        case "kubeconfig":
            print(cluster.kubeconfig)
        case "load":
            cluster.load(arguments.archive)
        case "exec":
            cluster.become(arguments.machine, arguments.command)
        case "forward":
            print(cluster.forward(arguments.listen, arguments.target))
        case "hosts":
            cluster.write_host_entries(dict(entry.split("=", 1) for entry in arguments.entry))
        case "trust":
            cluster.trust_registry(arguments.registry, arguments.ca.read_bytes())
        case "keyless":
            cluster.pull_keyless(arguments.audience, arguments.registry)
        case verb if verb in ZONE_VERBS:
            getattr(cluster, verb)(arguments.zone)
        case verb:
            getattr(cluster, verb.replace("-", "_"))()


def show(cluster: Cluster) -> None:
    status = cluster.status()
    print(f"{'MACHINE':32} {'RUNNING':8} {'LINK':6} {'READY':8} DAEMONS")
    for machine in status.machines:
        running, link = ("yes", "up" if machine.linked else "cut") if machine.running else ("no", "-")
        print(f"{machine.name:32} {running:8} {link:6} {readiness(machine):8} {' '.join(machine.daemons)}")
    for forward in status.forwards:
        print(f"forward {forward.listen} → {forward.target}")


def readiness(machine: MachineStatus) -> str:
    return {True: "yes", False: "no", None: "unknown"}[machine.ready]


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m local_cluster", description=__doc__)
    top.add_argument("--name", default="roadstead", help="which cluster; several can run side by side")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, words in PLAIN_VERBS.items():
        verbs.add_parser(verb, help=words)
    for verb, words in ZONE_VERBS.items():
        verbs.add_parser(verb, help=words).add_argument("zone", help="zone-a, or the node's name")
    load = verbs.add_parser("load", help="import docker-archives on every node")
    load.add_argument("archive", type=Path, nargs="+")
    inside = verbs.add_parser("exec", help="run a command inside a machine: exec zone-a -- nft list ruleset")
    inside.add_argument("machine", help="control-plane, zone-a, or a machine's name")
    inside.add_argument("command", nargs="+")
    forward = verbs.add_parser(
        "forward", help="relay a loopback address of the host into the cluster, until down"
    )
    forward.add_argument("listen", help="such as 127.0.0.1:5000; port 0 means any")
    forward.add_argument("target", help="IP:PORT, or SERVICE.NAMESPACE:PORT")
    hosts = verbs.add_parser("hosts", help="set names that every machine and pod knows")
    hosts.add_argument("entry", nargs="*", type=host_entry, metavar="NAME=ADDRESS")
    trust = verbs.add_parser("trust", help="make every node's containerd trust a registry's authority")
    trust.add_argument("registry", help="HOST or HOST:PORT")
    trust.add_argument("ca", type=Path, help="PEM file")
    keyless = verbs.add_parser("keyless", help="make kubelets pull with the tokens of pods' ServiceAccounts")
    keyless.add_argument("audience", help="whom the tokens are for")
    keyless.add_argument("registry", nargs="+", help="HOST or HOST:PORT")
    return top


def host_entry(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=ADDRESS")
    return text


if __name__ == "__main__":
    sys.exit(main())
