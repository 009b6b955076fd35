"""The cluster as a whole: up, down, and what can be done to it in between.

Every step asks first what is there, so `up` also completes what a killed `up` began, and repairs a machine or
a daemon that has ended. `down` needs no record of what was begun: all is in one cgroup and one directory.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

from local_cluster import archive, control_plane, etc, forwards, node
from local_cluster.api import Api
from local_cluster.bringup import Bringup
from local_cluster.cgroups import Cgroups
from local_cluster.daemon import Daemons
from local_cluster.errors import BadRequest, CommandFailed
from local_cluster.forwards import Address
from local_cluster.layout import CGROUP, Layout
from local_cluster.lock import locked
from local_cluster.machine import SYSTEM_PATH, RunningMachine
from local_cluster.network import Network
from local_cluster.parallel import in_parallel
from local_cluster.parts import Parts
from local_cluster.status import Status, observe


class Cluster:
    """A cluster of a control plane and a node in each of three zones. `report` gets lines of progress.

    A machine is named `control-plane`, by its zone (`zone-a`), or by its host name (`roadstead-zone-a`).
    Every method raises a ClusterError whose sentence says what to do.
    """

    def __init__(self, name: str, parts: Parts, report: Callable[[str], None] = lambda _line: None) -> None:
        self.layout = Layout(name)
        self.parts = replace(parts, root=parts.root.resolve())
        self.report = report

    @property
    def kubeconfig(self) -> Path:
        """For the host: it leads through a relay on a loopback address. There after `up`."""
        return self.layout.kubeconfig

    # Life and death

    def up(self) -> None:
        """Returns when three nodes are Ready, and DNS and Services answer on each; soon where that is so."""
        with locked(self.layout.state):
            self.bringup.everything()

    def down(self) -> None:
        """Leaves nothing: no process, mount, namespace, cgroup or file, whatever state it was in."""
        with locked(self.layout.state):
            self.cgroups.remove(self.layout.cgroup)
            shutil.rmtree(self.layout.state)
        self.cgroups.remove_empty(CGROUP)
        with contextlib.suppress(OSError):  # not empty: another cluster lives there
            self.layout.root.rmdir()

    def status(self) -> Status:
        return observe(self.layout, self.machines, self.network, self.host)

    # Faults

    def cut(self, zone: str) -> None:
        """The zone's link swallows everything from now on, until `heal`, `boot` or `up`."""
        self.network.cut(self.layout.node(zone))

    def heal(self, zone: str) -> None:
        self.network.heal(self.layout.node(zone))

    def slow(self, zone: str, rate: str) -> None:
        """The zone's link is narrow (`1mbit`), and so late under load, until `quick` or `boot`."""
        self.network.slow(self.layout.node(zone), rate)

    def quick(self, zone: str) -> None:
        self.network.quick(self.layout.node(zone))

    def crash(self, zone: str) -> None:
        """The zone's node is gone at once, as if its power had failed. Its disk stays."""
        self.machine(self.layout.node(zone).name).crash()

    def boot(self, zone: str) -> None:
        """Returns when the node is Ready again, as seen by its own new kubelet, and its DNS answers."""
        with locked(self.layout.state):
            self.bringup.node(self.layout.node(zone))

    def restart_control_plane(self) -> None:
        """As if the control plane's machine had been switched off and on. Relays stay."""
        with locked(self.layout.state):
            self.machine(self.layout.control_plane.name).crash()
            self.bringup.everything()

    def stop_apiserver(self) -> None:
        self.machine(self.layout.control_plane.name).daemons.stop("kube-apiserver")

    def start_apiserver(self) -> None:
        """Returns when it is ready. The controllers begin anew with it.

        Those that saw it go take the nodes for lost when it is back, whose leases they did not see renewed,
        and pause for up to a minute before they look again.
        """
        with locked(self.layout.state):
            for name in control_plane.CONTROLLERS:
                self.machine(self.layout.control_plane.name).daemons.stop(name)
            self.bringup.apiserver()
            self.bringup.start_controllers()

    # Work

    def load(self, archives: Iterable[Path]) -> None:
        """Imports docker-archives on every node, in parallel, each where it is not there yet."""
        for path in archives:
            images = archive.images_in(path)
            done = in_parallel(partial(self.bringup.import_image, path=path, images=images), self.nodes)
            tags = ", ".join(tag for image in images for tag in image.tags) or path.name
            self.report(f"{tags}: {'loaded' if any(done) else 'already there'}")

    def exec(
        self, machine: str, argv: Sequence[str], *, stdin: bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a program inside a machine to its end. Raises CommandFailed if `check`."""
        return self.machine(machine).run(list(argv), stdin=stdin, env=self.exec_env, check=check)

    def become(self, machine: str, argv: Sequence[str]) -> NoReturn:
        """Replaces this process by a program inside: terminal, signals and status are the program's."""
        words = [*self.machine(machine).entry(), *argv]
        os.execvpe(words[0], words, self.exec_env)  # noqa: S606 - there is nothing for a shell to do

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """What kubectl prints, as the cluster's administrator. Raises CommandFailed."""
        command = [str(self.parts.binary("kubectl")), f"--kubeconfig={self.kubeconfig}", *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CommandFailed(
                ["kubectl", *argv], done.returncode, (done.stdout + done.stderr).splitlines()[-20:]
            )
        return done.stdout

    def forward(self, listen: str, target: str) -> Address:
        """Relays `listen` (an address of the host's loopback; port 0: any) to `target` until `down`.

        `target` is IP:PORT, or SERVICE.NAMESPACE:PORT for its present ClusterIP. Returns where it listens.
        """
        self.machine(self.layout.control_plane.name).require()
        wanted = self.address_of(target)
        with locked(self.layout.state):
            return forwards.start(self.host, self.layout.name, Address.parse(listen), wanted).listen

    def write_host_entries(self, entries: Mapping[str, str]) -> None:
        """Sets what every machine's /etc/hosts holds beyond the machines: host name → IPv4 address.

        Pods see these names too, through DNS, within a second or two.
        """
        content = etc.hosts_file(self.layout, entries)
        for machine in self.layout.machines:
            etc.write(machine.etc, {"hosts": content})

    def trust_registry(self, host: str, ca_pem: bytes | str) -> None:
        """Makes containerd on every node trust an authority for the registry `host[:port]`, from now on."""
        pem = ca_pem.encode() if isinstance(ca_pem, str) else ca_pem
        for each in self.layout.nodes:
            etc.write(each.etc, node.registry_files(etc.checked_registry(host), pem))

    def pull_keyless(self, audience: str, registries: Iterable[str]) -> None:
        """Kubelets give these registries (host[:port]) the token of a pod's ServiceAccount, for `audience`.

        In place of what was set before. To a kubelet that runs it is news: it is started anew.
        """
        files = node.keyless_files(audience, [etc.checked_registry(each) for each in registries])
        with locked(self.layout.state):
            news = [each for each in self.layout.nodes if not etc.holds(each.etc, files)]
            for each in news:
                etc.write(each.etc, files)
            running = [each for each in news if self.machines[each.name].daemons.running("kubelet")]
            in_parallel(self.bringup.renew_kubelet, running)

    # What the above stands on

    def api(self) -> Api:
        """A client of the API server, as administrator. Raises NotRunning without a relay to it."""
        return forwards.api_of(self.layout, self.host, "admin")

    def address_of(self, target: str) -> Address:
        host, _, port = target.rpartition(":")
        service, _, namespace = host.partition(".")
        if not namespace or host.replace(".", "").isdigit():
            return Address.parse(target)
        found: dict[str, Any] = self.api().get(f"/api/v1/namespaces/{namespace}/services/{service}")
        if found["spec"].get("clusterIP") in {None, "None"}:
            raise BadRequest(f"{target}: the Service has no ClusterIP")
        return Address.parse(f"{found['spec']['clusterIP']}:{port}")

    def machine(self, name: str) -> RunningMachine:
        return self.machines[self.layout.machine(name).name]

    @cached_property
    def cgroups(self) -> Cgroups:
        return Cgroups.of_host()

    @cached_property
    def machines(self) -> dict[str, RunningMachine]:
        return {each.name: RunningMachine(each, self.cgroups) for each in self.layout.machines}

    @property
    def nodes(self) -> list[RunningMachine]:
        return [self.machines[each.name] for each in self.layout.nodes]

    @property
    def host(self) -> Daemons:
        return Daemons(self.cgroups, self.layout.host_cgroup, self.layout.host_log)

    @cached_property
    def network(self) -> Network:
        return Network(self.layout, self.machines)

    @cached_property
    def bringup(self) -> Bringup:
        return Bringup(
            self.layout, self.parts, self.cgroups, self.machines, self.network, self.host, self.report
        )

    @property
    def exec_env(self) -> dict[str, str]:
        folders = {str(self.parts.binary(name).parent): None for name in ("kubectl", "ctr")}
        return {"PATH": ":".join((*folders, SYSTEM_PATH)), "HOME": "/root", "TERM": "xterm"}
