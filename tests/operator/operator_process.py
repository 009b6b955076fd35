"""The operator as a real process beside a real API server, with the rights that it has in a cluster."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from registry_operator.cluster.resources import KNOWN
from registry_operator.desired.consent import mark
from registry_operator.names import ANY_ACCOUNT, POLICY_SHARDS, REGISTRY_ROLE

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from registry_runtime.contract.exposition import read
from registry_runtime.contract.policy import KEY as POLICY_KEY
from registry_runtime.contract.policy import Policy
from tests.operator.apiserver import ApiServer, Object, Refusal

ROOT = Path(__file__).parents[2]
SYSTEM = "roadstead-system"
ACCOUNT = "roadstead-operator"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "Role": f"{RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{{namespace}}/rolebindings",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LONGEST = 60.0  # seconds: the operator itself waits 30 for the answer to one request


def install(server: ApiServer) -> None:
    """CRDs, the operator's account and its rights, from the manifests that a cluster gets."""
    names = []
    for file in sorted((ROOT / "crds").glob("*.roadstead.dev.yaml")):
        crd = yaml.safe_load(file.read_text())
        names.append(server.ask("POST", CRDS, crd)["metadata"]["name"])
    for manifest in ("namespace.yaml", "rights.yaml", "tenants.yaml", "deletion.yaml"):
        for obj in yaml.safe_load_all((ROOT / "manifests" / manifest).read_text()):
            if obj and obj["kind"] in PATHS:
                path = PATHS[obj["kind"]].format(namespace=obj["metadata"].get("namespace"))
                server.ask("POST", path, obj)
    for name in names:
        wait(partial(is_served, server, name))


def is_served(server: ApiServer, name: str) -> bool:
    """Whether a list is answered: one that is established may have a storage that is not there yet."""
    crd = server.ask("GET", f"{CRDS}/{name}")
    conditions = {one["type"]: one["status"] for one in crd.get("status", {}).get("conditions") or ()}
    if conditions.get("Established") != "True":
        return False
    spec = crd["spec"]
    version = next(one["name"] for one in spec["versions"] if one["served"])
    try:
        server.ask("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1")
    except Refusal:
        return False
    return True


def is_deleted(server: ApiServer, path: str) -> bool:
    try:
        server.ask("GET", path)
    except Refusal as refusal:
        return refusal.code == HTTPStatus.NOT_FOUND
    return False


def wait(true: Callable[[], Any], seconds: float = LONGEST, sentence: str | Callable[[], str] = "") -> Any:
    """What `true` returns as soon as it is true. Raises TimeoutError; a callable sentence looks why."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError((sentence if isinstance(sentence, str) else sentence()) or f"not within {seconds} s")


def settled(operator: "Operator") -> None:
    """Until no more requests that change something are made."""
    before = -1.0
    while (now := operator.writes()) != before:
        before = now
        time.sleep(0.7)


@dataclass
class Operator:
    """The process, or what will be one after `start`."""

    server: ApiServer
    certificate: Path  # the API server's own
    folder: Path
    url: str = ""  # of the API server, where it is reached through a relay
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    process: subprocess.Popen[bytes] | None = None
    name: str = "operator-0"  # of its pod
    more: dict[str, str] = field(default_factory=dict)  # of its environment
    image: str = "registry.test/roadstead/registry:test"  # of the runtime

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def kubeconfig(self) -> Path:
        """With the rights that it has in a cluster."""
        file = self.folder / "kubeconfig"
        if not file.exists():
            file.write_text(json.dumps(self._kubeconfig()))
        return file

    def start(self) -> None:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "KUBECONFIG": str(self.kubeconfig()),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            "RUNTIME_IMAGE": self.image,
            "POD_NAME": self.name,
            "LIVENESS_PORT": str(self.ports[0]),
            "METRICS_PORT": str(self.ports[1]),
            "LOG_LEVEL": "INFO",
            "MALLOC_ARENA_MAX": "2",
            **self.more,
        }
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "registry_operator"], env=environment, stdout=output, stderr=output
            )

    def ready(self) -> "Operator":
        """Waits until the cache is filled and work is done."""
        before = self.log.read_text().count('"message": "started"') if self.log.exists() else 0
        self.start()
        wait(lambda: self.log.read_text().count('"message": "started"') > before, 30, "not started")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series with these labels."""
        found = (one for one in read(self.metrics()) if one.name == name)
        return sum((one.value for one in found if labels.items() <= one.labels.items()), 0.0)

    def writes(self) -> float:
        """Requests that change something; the Lease's are not counted."""
        name, verbs = "roadstead_api_requests_total", ("create", "apply", "patch", "update", "delete")
        leases = sum(self.metric(name, verb=verb, resource="leases") for verb in verbs)
        return sum(self.metric(name, verb=verb) for verb in verbs) - leases

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def livez(self) -> tuple[int, str]:
        return self.probe("livez")

    def probe(self, path: str) -> tuple[int, str]:
        """What the kubelet is told."""
        request = f"http://127.0.0.1:{self.ports[0]}/{path}"
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_alive(self) -> bool:
        with suppress(OSError):
            return self.livez()[0] == HTTPStatus.OK
        return False

    def _kubeconfig(self) -> Object:
        path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token"
        token = self.server.ask("POST", path, {"spec": {"expirationSeconds": 36000}})["status"]["token"]
        return kubeconfig_of(self.url or self.server.url, self.certificate, token)


@contextmanager
def running(operator: Operator) -> Iterator[Operator]:
    """Started for the time of the block."""
    try:
        yield operator.ready()
    finally:
        if operator.process is not None:
            operator.stop(signal.SIGKILL)


@contextmanager
def controllers(server: ApiServer, certificate: Path, folder: Path, *names: str) -> Iterator[None]:
    """Some controllers of a real kube-controller-manager, such as the garbage collector."""
    kubeconfig = folder / "controllers.kubeconfig"
    kubeconfig.write_text(json.dumps(kubeconfig_of(server.url, certificate, server.token)))
    parts = Parts(cache_root())
    argv = [
        str(parts.binary("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(names)}",
        "--leader-elect=false",
        f"--secure-port={free_port()}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'controllers'}",
    ]
    with (folder / "controllers.log").open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def kubeconfig_of(url: str, certificate: Path, token: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(certificate)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Relay:
    """A TCP relay to the API server, which can be cut: the API server is then down for whoever uses it.

    While it holds, what is asked is kept back, and what is answered goes through.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("https://").partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._up = True
        self._open = threading.Event()
        self._open.set()
        self.held = 0  # bytes
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection breaks, and no new one is served."""
        self._up = False
        for side in self._pairs:
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def heal(self) -> None:
        self._up = True

    def hold(self) -> None:
        """Requests are on their way from now on, and stay so."""
        self._open.clear()

    def release(self) -> None:
        """What was kept back arrives."""
        self._open.set()

    def close(self) -> None:
        self.cut()
        self.release()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._up:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._pairs += [client, server]
                for source, sink, asks in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._copy, args=(source, sink, asks), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and not self._open.is_set():
                    self.held += len(data)
                    self._open.wait()
                sink.sendall(data)
        for side in (source, sink):
            with suppress(OSError):
                side.close()


ROADSTEAD = "/apis/roadstead.dev/v1alpha1"


@dataclass(frozen=True)
class Cluster:
    """What a test says to the API server, in the words of kubectl; "Claim" is Roadstead's kind Namespace."""

    server: ApiServer

    def namespace(
        self, name: str, *, consent: str = REGISTRY_ROLE, takes: str = ANY_ACCOUNT, **labels: str
    ) -> str:
        """With the consent to hold a Registry, or another, or none (""); see `consent`."""
        self.server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        if consent:
            self.consent(name, consent, takes)
        return name

    def consent(self, namespace: str, role: str = REGISTRY_ROLE, takes: str = ANY_ACCOUNT) -> None:
        """What `kubectl create rolebinding` does in the command that the condition shows.

        `takes` is the account whose pull secrets are taken; "": only the own one's.
        """
        whole = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        subject = {"kind": "ServiceAccount", "namespace": SYSTEM, "name": ACCOUNT}
        accounts = {mark(takes): "true"} if takes else {}
        metadata = {"name": role, "annotations": accounts}
        binding = {"metadata": metadata, "roleRef": whole, "subjects": [subject]}
        self.server.ask("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)

    def withdraw(self, namespace: str, role: str = REGISTRY_ROLE) -> None:
        self.server.ask("DELETE", f"{RBAC}/namespaces/{namespace}/rolebindings/{role}")

    def apply(self, kind: str, namespace: str, name: str, spec: Object, **annotations: str) -> Object:
        """A resource of Roadstead's, by server-side apply."""
        metadata = {
            "name": name,
            "annotations": {key.replace("_", "/"): value for key, value in annotations.items()},
        }
        body = {
            "apiVersion": "roadstead.dev/v1alpha1",
            "kind": "Namespace" if kind == "Claim" else kind,
            "metadata": metadata,
            "spec": spec,
        }
        return self.server.apply(self.path(kind, namespace, name), body, "kubectl")

    def registry(self, namespace: str, name: str = "harbour", **spec: Any) -> Object:
        s3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "credentialsSecretRef": {"name": "s3"}}
        return self.apply(
            "Registry", namespace, name, {"hostname": f"{name}.example.com", "storage": {"s3": s3}} | spec
        )

    def token(self, namespace: str, name: str, registry: str = "harbour", **spec: Any) -> Object:
        rights = [{"repositories": ["pier/**"], "actions": ["pull", "push"]}]
        wanted = {"registryRefs": [{"name": registry}], "permissions": rights}
        return self.apply("AccessToken", namespace, name, wanted | spec)

    def claim(self, namespace: str, name: str, registry: Object | None = None) -> Object:
        return self.apply(
            "Claim", namespace, name, {"registryRef": registry or {"name": "harbour"}, "name": name}
        )

    def secret(self, namespace: str, name: str, **values: str) -> Object:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
        return self.server.apply(f"/api/v1/namespaces/{namespace}/secrets/{name}", body, "kubectl")

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return self.server.ask("GET", self.path(kind, namespace, name))
        except Refusal as refusal:
            if refusal.code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self.server.ask("DELETE", self.path(kind, namespace, name))

    def list(self, kind: str, namespace: str) -> dict[str, Object]:
        found = self.server.ask("GET", self.path(kind, namespace, "").rstrip("/"))
        return {obj["metadata"]["name"]: obj for obj in found["items"]}

    def condition(self, kind: str, namespace: str, name: str, condition: str) -> Object:
        """Of the status; {} where it is not there, or speaks of an older generation."""
        obj = self.get(kind, namespace, name) or {}
        conditions = (obj.get("status") or {}).get("conditions") or ()
        found: dict[str, Object] = {one["type"]: one for one in conditions}
        one = found.get(condition, {})
        return one if one.get("observedGeneration") == obj.get("metadata", {}).get("generation") else {}

    def policy(self, namespace: str, registry: str = "harbour") -> Policy:
        """What the replicas are told, all shards together."""
        shards = [
            self.get("Secret", namespace, f"{registry}-policy-{shard}") for shard in range(POLICY_SHARDS)
        ]
        documents = [base64.b64decode(shard["data"][POLICY_KEY]) for shard in shards if shard]
        return Policy.merge(tuple(Policy.decode(document) for document in documents))

    def path(self, kind: str, namespace: str, name: str) -> str:
        own = {"Registry": "registries", "Claim": "namespaces", "AccessToken": "accesstokens"}
        if kind in own:
            return f"{ROADSTEAD}/namespaces/{namespace}/{own[kind]}/{name}"
        resource = next(one for one in KNOWN.values() if one.kind == kind)
        return resource.path(namespace, name)
