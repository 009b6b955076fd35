"""What a node runs and reads: command lines and files as values. Paths are those inside the machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_cluster import dns, kubeconfig
from local_cluster.control_plane import API
from local_cluster.daemon import Daemon
from local_cluster.layout import DNS_ADDRESS, DNS_DOMAIN, POD_RANGE, Node
from local_cluster.machine import SELDOM_COLLECTED, SYSTEM_PATH
from local_cluster.parts import CREDENTIAL_PROVIDER, Parts

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
SANDBOX = "localhost/pause:1"
CERTS_D = "/etc/containerd/certs.d"
KEYLESS = "kubernetes/credential-provider.json"  # below /etc; there where nodes pull without Secrets
ZONE_LABEL = "topology.kubernetes.io/zone"
CAP_SYS_RESOURCE = 24
ENV = {"PATH": SYSTEM_PATH, "TMPDIR": "/run"}  # /tmp is the host's, and runc puts a file there for each exec
AGENT = {**ENV, **SELDOM_COLLECTED}  # not of containerd, whose environment a hundred shims inherit
DAEMONS = ("containerd", "kubelet", "kube-proxy", "coredns")


def files(node: Node, pki: dict[str, bytes], cni: Path, *, may_lower_oom_score: bool) -> dict[str, bytes]:
    """Path below /etc → content. `cni` is the folder of the network plugins."""
    return {
        "kubernetes/pki/ca.crt": pki["ca.crt"],
        "kubernetes/pki/kubelet.crt": pki[f"kubelet-{node.zone}.crt"],
        "kubernetes/pki/kubelet.key": pki[f"kubelet-{node.zone}.key"],
        "kubernetes/kubelet.kubeconfig": kubeconfig.render(API, node.name, pki, f"kubelet-{node.zone}"),
        "kubernetes/kube-proxy.kubeconfig": kubeconfig.render(API, "kube-proxy", pki, "kube-proxy"),
        "kubernetes/dns.kubeconfig": kubeconfig.render(API, "dns", pki, "dns"),
        "kubernetes/kubelet.json": as_json(kubelet_config(node)),
        "kubernetes/kube-proxy.json": as_json(kube_proxy_config(node)),
        "containerd/config.toml": containerd_config(cni, may_lower_oom_score=may_lower_oom_score),
        "cni/net.d/10-pods.conflist": as_json(cni_config(node)),
        "coredns/Corefile": dns.corefile(),
    }


def containerd(parts: Parts) -> Daemon:
    """It finds its shim and runc on PATH."""
    folders = [parts.binary(name).parent.as_posix() for name in ("containerd", "runc")]
    path = ":".join((*folders, SYSTEM_PATH))
    return Daemon("containerd", (str(parts.binary("containerd")),), {**ENV, "PATH": path})


def kubelet(node: Node, parts: Parts, *, keyless: bool) -> Daemon:
    """`keyless`: the file of that name is there, which it reads once, at its start."""
    flags = (
        f"--image-credential-provider-config=/etc/{KEYLESS}",
        f"--image-credential-provider-bin-dir={parts.binary(CREDENTIAL_PROVIDER).parent}",
    )
    return Daemon(
        "kubelet",
        (
            str(parts.binary("kubelet")),
            "--config=/etc/kubernetes/kubelet.json",
            "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--node-labels={ZONE_LABEL}={node.zone}",
            *(flags if keyless else ()),
        ),
        AGENT,
    )


def kube_proxy(parts: Parts) -> Daemon:
    """It writes nftables by the program `nft`."""
    argv = (str(parts.binary("kube-proxy")), "--config=/etc/kubernetes/kube-proxy.json")
    return Daemon("kube-proxy", argv, AGENT)


def coredns(parts: Parts) -> Daemon:
    return Daemon("coredns", (str(parts.binary("coredns")), "-conf", dns.CONFIG), ENV)


def kubelet_config(node: Node) -> dict[str, Any]:
    """https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/"""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/pki/kubelet.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/pki/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": DNS_DOMAIN,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "serializeImagePulls": False,
        "nodeLeaseDurationSeconds": 8,
        # The default lies in /usr/libexec, which is the host's.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # The disk is the host's as well: how full it is must neither evict pods nor remove preloaded images.
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
    }


def keyless_files(audience: str, registries: Sequence[str]) -> dict[str, bytes]:
    """Path below /etc → content: these registries (host[:port]) get the tokens of pods' ServiceAccounts.

    https://kubernetes.io/docs/reference/config-api/kubelet-config.v1/#kubelet-config-k8s-io-v1-CredentialProviderConfig
    """
    provider = {
        "name": CREDENTIAL_PROVIDER,
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "matchImages": list(registries),
        "args": list(registries),
        "defaultCacheDuration": "0s",
        "tokenAttributes": {
            "serviceAccountTokenAudience": audience,
            "cacheType": "Token",
            "requireServiceAccount": True,
        },
    }
    config = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
    return {KEYLESS: as_json({**config, "providers": [provider]})}


def knows_zone(log: str) -> bool:
    """Whether kube-proxy has said, since its last start, that it knows in which zone its node is."""
    return "Updated proxier node topology labels" in log.rpartition('"Version info"')[2]


def kube_proxy_config(node: Node) -> dict[str, Any]:
    """https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/

    The limits of conntrack are the host's, not a machine's: 0 leaves them alone.
    """
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.name,
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.kubeconfig"},
        "oomScoreAdj": 0,
        "logging": {"vmodule": [{"filePattern": "proxier", "verbosity": 4}]},  # `knows_zone` reads it
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def cni_config(node: Node) -> dict[str, Any]:
    """Each pod has a link of its own to the node, which routes: traffic within a node meets its rules too."""
    ipam = {"type": "host-local", "subnet": node.pod_range, "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": ipam},
            {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}},
        ],
    }


def containerd_config(cni: Path, *, may_lower_oom_score: bool) -> bytes:
    """https://github.com/containerd/containerd/blob/main/docs/cri/config.md

    What is disabled would make directories outside those that a machine owns, or wait for devices.
    """
    lines = [
        "version = 3",
        "disabled_plugins = ["
        + ", ".join(
            f'"io.containerd.{name}"'
            for name in (
                "internal.v1.opt",
                "nri.v1.nri",
                "image-verifier.v1.bindir",
                "snapshotter.v1.blockfile",
                "snapshotter.v1.devmapper",
                "snapshotter.v1.erofs",
                "differ.v1.erofs",
                "mount-handler.v1.erofs",
                "snapshotter.v1.zfs",
            )
        )
        + "]",
        # As with etcd: made to outlive crashes of programs, not of the host.
        '[plugins."io.containerd.metadata.v1.bolt"]',
        "no_sync = true",
        '[plugins."io.containerd.cri.v1.images"]',
        'snapshotter = "overlayfs"',
        f"pinned_images.sandbox = {json.dumps(SANDBOX)}",
        f"registry.config_path = {json.dumps(CERTS_D)}",
        '[plugins."io.containerd.cri.v1.runtime"]',
        "disable_apparmor = true",
        f"restrict_oom_score_adj = {json.dumps(not may_lower_oom_score)}",
        f"cni.bin_dirs = [{json.dumps(str(cni))}]",
        'cni.conf_dir = "/etc/cni/net.d"',
        "",
    ]
    return "\n".join(lines).encode()


def may_lower_oom_score(status: str) -> bool:
    """Whether /proc/self/status shows CAP_SYS_RESOURCE: without it a container's score can only be raised."""
    words = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return bool(int(words["CapEff"], 16) >> CAP_SYS_RESOURCE & 1)


def registry_files(host: str, ca_pem: bytes) -> dict[str, bytes]:
    """Path below /etc → content: makes containerd trust a registry's authority, and changes nothing else.

    https://github.com/containerd/containerd/blob/main/docs/hosts.md ; read at each pull.
    """
    folder = f"{CERTS_D.removeprefix('/etc/')}/{host}"
    hosts = f'server = "https://{host}"\nca = "{CERTS_D}/{host}/ca.crt"\n'
    return {f"{folder}/ca.crt": ca_pem, f"{folder}/hosts.toml": hosts.encode()}


def as_json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
