"""What the control plane runs and reads: command lines and files as values.

Paths are those inside the machine. https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

from local_cluster import kubeconfig
from local_cluster.daemon import Daemon
from local_cluster.layout import API_PORT, CONTROL_PLANE_ADDRESS, DNS_DOMAIN, SERVICE_RANGE
from local_cluster.machine import SELDOM_COLLECTED, SYSTEM_PATH
from local_cluster.parts import Parts

PKI = "/etc/kubernetes/pki"
ETCD = "https://127.0.0.1:2379"
ETCD_PEER = "https://127.0.0.1:2380"
API = f"https://{CONTROL_PLANE_ADDRESS}:{API_PORT}"
ISSUER = f"https://kubernetes.default.svc.{DNS_DOMAIN}"
ENV = {"PATH": SYSTEM_PATH, **SELDOM_COLLECTED}
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
DAEMONS = ("etcd", "kube-apiserver", *CONTROLLERS)


def files(pki: dict[str, bytes]) -> dict[str, bytes]:
    """Path below /etc → content. Only here, on no node, are the keys of the authorities."""
    return {
        **{f"kubernetes/pki/{name}": content for name, content in pki.items()},
        **{
            f"kubernetes/{name}.kubeconfig": kubeconfig.render(API, name, pki, name)
            for name in ("controller-manager", "scheduler")
        },
    }


def etcd(parts: Parts) -> Daemon:
    """No fsync: a test cluster that survives a crash of the program, not of the host, starts much faster."""
    return daemon(
        parts,
        "etcd",
        "--name=control-plane",
        "--data-dir=/var/lib/etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=control-plane={ETCD_PEER}",
        "--client-cert-auth",
        "--peer-client-cert-auth",
        *(
            f"--{side}{flag}={PKI}/{file}"
            for side in ("", "peer-")
            for flag, file in (
                ("trusted-ca-file", "etcd-ca.crt"),
                ("cert-file", "etcd.crt"),
                ("key-file", "etcd.key"),
            )
        ),
    )


def apiserver(parts: Parts) -> Daemon:
    return daemon(
        parts,
        "kube-apiserver",
        f"--advertise-address={CONTROL_PLANE_ADDRESS}",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # Webhooks and aggregated APIs are called at their endpoints: the control plane runs no kube-proxy.
        "--enable-aggregator-routing=true",
        "--profiling=false",
        f"--etcd-servers={ETCD}",
        f"--etcd-cafile={PKI}/etcd-ca.crt",
        *pair("etcd-certfile", "etcd-keyfile", "apiserver-etcd-client"),
        f"--client-ca-file={PKI}/ca.crt",
        *pair("tls-cert-file", "tls-private-key-file", "apiserver"),
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        *pair("kubelet-client-certificate", "kubelet-client-key", "apiserver-kubelet-client"),
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        *pair("proxy-client-cert-file", "proxy-client-key-file", "front-proxy-client"),
        f"--service-account-issuer={ISSUER}",
        f"--service-account-jwks-uri={ISSUER}/openid/v1/jwks",
        f"--service-account-key-file={PKI}/service-account.pub",
        f"--service-account-signing-key-file={PKI}/service-account.key",
    )


def controller_manager(parts: Parts) -> Daemon:
    """Its requests are not throttled (that costs 5 s at the start); a lost node is noticed after 12 s."""
    return daemon(
        parts,
        "kube-controller-manager",
        *kubeconfigs("controller-manager"),
        "--bind-address=127.0.0.1",
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--leader-elect=false",
        "--use-service-account-credentials",
        "--allocate-node-cidrs=false",
        # The default lies in /usr/libexec, which is the host's.
        "--flex-volume-plugin-dir=/var/lib/flex-volume-plugins",
        "--node-monitor-period=2s",
        "--node-monitor-grace-period=12s",
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/service-account.key",
        *pair("cluster-signing-cert-file", "cluster-signing-key-file", "ca"),
    )


def scheduler(parts: Parts) -> Daemon:
    return daemon(
        parts, "kube-scheduler", *kubeconfigs("scheduler"), "--bind-address=127.0.0.1", "--leader-elect=false"
    )


def daemon(parts: Parts, name: str, *flags: str) -> Daemon:
    return Daemon(name, (str(parts.binary(name)), *flags), ENV)


def pair(certificate_flag: str, key_flag: str, name: str) -> tuple[str, str]:
    return f"--{certificate_flag}={PKI}/{name}.crt", f"--{key_flag}={PKI}/{name}.key"


def kubeconfigs(name: str) -> tuple[str, ...]:
    """One file for the work, and for asking who a caller is and what they may."""
    return tuple(
        f"--{use}kubeconfig=/etc/kubernetes/{name}.kubeconfig"
        for use in ("", "authentication-", "authorization-")
    )
