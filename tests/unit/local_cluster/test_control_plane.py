"""Command lines and files of the control plane."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from local_cluster import control_plane, kubeconfig, node, pki
from local_cluster.layout import Layout
from local_cluster.parts import Parts
from local_cluster.rbac import objects

LAYOUT = Layout("one")
PKI = pki.all_files(LAYOUT)


@dataclass(frozen=True)
class Built(Parts):
    """Parts of which every program is there."""

    def binary(self, name: str) -> Path:
        return self.root / name


PARTS = Built(Path("/cache"))
DAEMONS = [
    make(PARTS)
    for make in (
        control_plane.etcd,
        control_plane.apiserver,
        control_plane.controller_manager,
        control_plane.scheduler,
    )
]


def test_every_file_that_a_daemon_is_told_to_read_is_written() -> None:
    """A path that nobody writes would show only in a log."""
    written = {f"/etc/{name}" for name in control_plane.files(PKI)}
    told = {word.split("=", 1)[1] for daemon in DAEMONS for word in daemon.argv if "=/etc/" in word}

    assert told <= written
    assert len(told) > 15


def test_a_kubelet_has_a_credential_provider_where_it_is_configured() -> None:
    """The file is told to it where it is there, and only there: it would not start without."""
    which = LAYOUT.node("zone-a")
    with_it, without = (" ".join(node.kubelet(which, PARTS, keyless=each).argv) for each in (True, False))

    (name,) = node.keyless_files("registry.example", ["registry.example"])
    assert f"--image-credential-provider-config=/etc/{name} " in with_it
    assert f"--image-credential-provider-bin-dir={PARTS.binary('kubelet').parent}" in with_it
    assert "credential-provider" not in without


def test_nodes_have_no_key_but_their_own() -> None:
    """Neither an authority's, nor another node's, nor the one that signs ServiceAccounts' tokens."""
    own = node.files(LAYOUT.node("zone-a"), PKI, Path("/cni"), may_lower_oom_score=True)
    everything = b"".join(own.values()) + b"".join(base64_parts(own))
    foreign = ["ca.key", "service-account.key", "kubelet-zone-b.key", "admin.key", "etcd.key"]

    assert not [name for name in foreign if PKI[name].strip() in everything]
    assert PKI["kubelet-zone-a.key"].strip() in everything


def base64_parts(files: dict[str, bytes]) -> list[bytes]:
    """The keys inside kubeconfigs, decoded."""
    configs = [json.loads(content) for name, content in files.items() if name.endswith(".kubeconfig")]
    return [base64.b64decode(config["users"][0]["user"]["client-key-data"]) for config in configs]


def test_no_secret_is_on_a_command_line() -> None:
    """Every process of the host can read those."""
    words = " ".join(word for daemon in DAEMONS for word in daemon.argv)

    assert "PRIVATE" not in words
    assert "password" not in words


def test_a_kubeconfig_is_complete_in_itself() -> None:
    """Server, authority, certificate and key of the one user, who is the current one."""
    config = json.loads(kubeconfig.render("https://127.0.0.1:5", "one", PKI, "admin"))

    (cluster,), (user,) = config["clusters"], config["users"]
    assert cluster["cluster"]["server"] == "https://127.0.0.1:5"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == PKI["ca.crt"]
    assert base64.b64decode(user["user"]["client-key-data"]) == PKI["admin.key"]
    assert config["current-context"] == config["contexts"][0]["name"]


def test_every_binding_names_a_role_and_a_user_that_exist() -> None:
    """Of this cluster's own daemons, which may only read."""
    roles = {each["metadata"]["name"] for each in objects() if each["kind"] == "ClusterRole"}
    bindings = [each for each in objects() if each["kind"] == "ClusterRoleBinding"]
    users = {user for user, _group in pki.API_CLIENTS.values()}

    assert {each["roleRef"]["name"] for each in bindings} <= roles | {"system:kubelet-api-admin"}
    assert {each["subjects"][0]["name"] for each in bindings} <= users
    verbs = {verb for each in objects() for rule in each.get("rules", []) for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}
