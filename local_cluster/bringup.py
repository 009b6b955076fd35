"""Starting what is not running, in the order that is quickest: each step waits only for what it needs."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_cluster import archive, control_plane, dns, etc, forwards, kubeconfig, node, pki, preflight, rbac
from local_cluster.api import Api
from local_cluster.cgroups import Cgroups
from local_cluster.daemon import Daemons
from local_cluster.errors import TookTooLong
from local_cluster.forwards import API, Address, api_of
from local_cluster.layout import API_SERVICE_ADDRESS, DNS_DOMAIN, Layout, Machine, Node
from local_cluster.machine import SYSTEM_PATH, RunningMachine
from local_cluster.namespaces import connects
from local_cluster.network import Network
from local_cluster.parallel import in_parallel
from local_cluster.parts import Parts
from local_cluster.status import ready_since
from local_cluster.waiting import until

ANY_PORT = Address("127.0.0.1", 0)
READY_SECONDS = 60.0
ZONE_SECONDS, STARTS = 3.0, 5
ENFORCER = "enforcer"
KNOWN_SERVICE = (API_SERVICE_ADDRESS, 443)
KNOWN_NAME = f"kubernetes.default.svc.{DNS_DOMAIN}"


@dataclass(frozen=True)
class Bringup:
    """The steps of `up`. Each does nothing where its work is done."""

    layout: Layout
    parts: Parts
    cgroups: Cgroups
    machines: dict[str, RunningMachine]
    network: Network
    host: Daemons
    report: Callable[[str], None]

    def everything(self) -> None:
        preflight.check(self.parts.root, SYSTEM_PATH)
        keys = pki.ensure(self.layout)
        self.boot_control_plane(keys)
        self.report(f"{self.layout.name}: control plane booted")
        with ThreadPoolExecutor(max_workers=1) as background:
            nodes = background.submit(in_parallel, lambda each: self.boot_node(each, keys), self.layout.nodes)
            self.apiserver()
            self.report(f"{self.layout.name}: API server ready")
            nodes.result()
        self.start_controllers()
        in_parallel(self.start_node, self.layout.nodes)
        self.report(f"{self.layout.name}: {len(self.layout.nodes)} nodes booted")
        in_parallel(self.wait_for_node, self.layout.nodes)
        self.wait_for_services()
        self.report(f"{self.layout.name}: nodes Ready, DNS and Services answer")

    def node(self, which: Node) -> None:
        """One node, when the others and the control plane run."""
        self.boot_node(which, pki.ensure(self.layout))
        self.start_node(which)
        self.wait_for_node(which)

    def boot_control_plane(self, keys: dict[str, bytes]) -> None:
        machine = self.machines[self.layout.control_plane.name]
        self.furnish(machine.machine, control_plane.files(keys))
        machine.boot(self.parts.binary("pause"))
        machine.start(control_plane.etcd(self.parts))
        self.network.make_switch()
        self.start_relay(keys)

    def start_relay(self, keys: dict[str, bytes]) -> None:
        """To the API server, at any port that is free: the kubeconfig says which."""
        there = [forward for forward in forwards.running(self.host) if forward.target == API]
        relay = there[0] if there else forwards.start(self.host, self.layout.name, ANY_PORT, API)
        content = kubeconfig.render(f"https://{relay.listen}", self.layout.name, keys, "admin")
        etc.write(self.layout.state, {self.layout.kubeconfig.name: content})

    def boot_node(self, which: Node, keys: dict[str, bytes]) -> None:
        """The machine, its link and containerd with the sandbox's image: all that needs no API server."""
        machine = self.machines[which.name]
        may_lower = node.may_lower_oom_score(Path("/proc/self/status").read_text())
        plugins = self.parts.binary("ptp").parent
        files = node.files(which, keys, plugins, may_lower_oom_score=may_lower)
        self.furnish(which, files)
        machine.boot(self.parts.binary("pause"))
        self.cgroups.delegate(which.cgroup)
        machine.start(node.containerd(self.parts))
        self.network.plug(which)
        path = which.home / "pause.tar"
        pause = self.parts.binary("pause").read_bytes()
        archive.write(path, node.SANDBOX, {"pause": pause}, {"Entrypoint": ["/pause"]})
        self.import_image(machine, path, archive.images_in(path))

    def apiserver(self) -> None:
        machine = self.machines[self.layout.control_plane.name]
        machine.start(control_plane.apiserver(self.parts))
        self.wait(
            machine.daemons,
            ("etcd", "kube-apiserver"),
            lambda: self.api().ready(),
            "the API server is not ready",
        )
        for each in rbac.objects():
            self.api().apply(each)

    def start_controllers(self) -> None:
        machine = self.machines[self.layout.control_plane.name]
        machine.start(control_plane.controller_manager(self.parts))
        machine.start(control_plane.scheduler(self.parts))
        self.host.start(forwards.python(ENFORCER, ENFORCER, self.layout.name))

    def start_node(self, which: Node) -> None:
        for daemon in (
            node.kubelet(which, self.parts, keyless=(which.etc / node.KEYLESS).exists()),
            node.coredns(self.parts),
            node.kube_proxy(self.parts),
        ):
            self.machines[which.name].start(daemon)

    def wait_for_node(self, which: Node) -> None:
        """Until its present kubelet has said that it is ready, its DNS answers, and Services are reached."""
        machine, api = self.machines[which.name], self.api()
        started = machine.daemons.started("kubelet")

        def ready() -> bool:
            return ready_since(api, which.name, started)

        def resolves() -> bool:
            return dns.resolves(machine.require(), KNOWN_NAME)

        def serves() -> bool:
            return connects(machine.require(), *KNOWN_SERVICE)

        self.wait(machine.daemons, node.DAEMONS, ready, f"{which.name} is not Ready")
        self.wait(machine.daemons, node.DAEMONS, resolves, f"the DNS of {which.name} does not answer")
        self.wait(machine.daemons, node.DAEMONS, serves, f"no Service is reached from {which.name}")
        self.place_proxy(machine)

    def place_proxy(self, machine: RunningMachine) -> None:
        """Until its kube-proxy knows the zone, which it may miss at its start, and then for good.

        In Kubernetes 1.36 the node may come before whoever is to hear of its labels; who starts anew has
        another chance. Without it, requests from there go to every zone.
        """
        log = machine.daemons.log_of("kube-proxy")

        def placed() -> bool:
            return node.knows_zone(log.read_text(errors="replace"))

        for _ in range(STARTS):
            with suppress(TookTooLong):
                return until(placed, ZONE_SECONDS, lambda: "")
            self.report(f"{machine.machine.name}: kube-proxy missed its zone, and is started anew")
            machine.daemons.stop("kube-proxy")
            machine.start(node.kube_proxy(self.parts))
        return self.wait(machine.daemons, ("kube-proxy",), placed, "kube-proxy knows no zone")

    def renew_kubelet(self, which: Node) -> None:
        """What it reads at its start, it reads again; its pods go on meanwhile."""
        self.machines[which.name].daemons.stop("kubelet")
        self.start_node(which)
        self.wait_for_node(which)

    def wait_for_services(self) -> None:
        """Until Services are reached from the control plane, and so through relays."""
        machine = self.machines[self.layout.control_plane.name]

        def serves() -> bool:
            return connects(machine.require(), *KNOWN_SERVICE)

        self.wait(self.host, (ENFORCER,), serves, "no Service is reached from the control plane")

    def wait(self, daemons: Daemons, names: Iterable[str], ready: Callable[[], bool], complaint: str) -> None:
        """Until `ready`. Raises DaemonEnded as soon as one of the daemons has ended."""

        def look() -> bool:
            for name in names:
                daemons.check(name)
            return ready()

        until(look, READY_SECONDS, lambda: f"{complaint}; see the logs in {daemons.log}")

    def import_image(self, machine: RunningMachine, path: Path, images: list[archive.Image]) -> bool:
        """Whether it had to be imported: containerd lacked an image of the archive, or one of its tags."""
        ctr = [str(self.parts.binary("ctr")), "--namespace=k8s.io", "images"]
        self.wait(
            machine.daemons,
            ("containerd",),
            lambda: machine.run([*ctr, "check"], check=False).returncode == 0,
            f"the containerd of {machine.machine.name} does not answer",
        )
        listed = machine.run([*ctr, "list"]).stdout.decode()
        if archive.all_listed(images, listed):
            return False
        with path.open("rb") as content:
            machine.run([*ctr, "import", "--local", "-"], stdin=content)
        return True

    def furnish(self, machine: Machine, files: dict[str, bytes]) -> None:
        """Writes the machine's /etc. What was added to its /etc/hosts stays."""
        etc.write(machine.etc, {**etc.base_files(machine), **files})
        if not (machine.etc / "hosts").exists():
            etc.write(machine.etc, {"hosts": etc.hosts_file(self.layout, {})})

    def api(self) -> Api:
        return api_of(self.layout, self.host, "admin")
