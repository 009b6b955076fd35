"""A real kube-apiserver over a real etcd, and nothing else: for what the API server alone decides."""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local_cluster.machine import SELDOM_COLLECTED
from local_cluster.parts import Parts

Object = dict[str, Any]
JSON, APPLY = "application/json", "application/apply-patch+yaml"
OPERATOR = "system:serviceaccount:roadstead-system:roadstead-operator"
AUDIT_LOG = "audit.log"  # in the API server's folder: each request of the operator's account, a JSON line
AUDITED: Object = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}],
}


class Refusal(Exception):
    """An answer of the API server that is no success: its Status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class ApiServer:
    """A client with every right. Paths are of the REST API."""

    url: str
    token: str = field(repr=False)
    connections: urllib3.HTTPSConnectionPool = field(repr=False)
    folder: Path  # with everything that its processes write

    @property
    def certificate(self) -> Path:
        return _certificate(self.folder)

    def ask(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> Object:
        """The answer's object. Raises Refusal."""
        text = self._ask(method, path, None if body is None else json.dumps(body).encode(), kind)
        read: Object = json.loads(text)
        return read

    def since(self, path: str, version: str) -> Iterator[Object]:
        """What the objects of a list were, one by one, after this resourceVersion. Raises Refusal."""
        text = self._ask("GET", f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=1")
        for event in map(json.loads, text.splitlines()):
            if event["type"] == "ERROR":
                raise Refusal(event["object"]["code"], event["object"]["message"])
            yield event["object"]

    def counted(self, metric: str, **labels: str) -> float:
        """The sum of all series of its metrics with these labels."""
        lines = self._ask("GET", "/metrics").decode().splitlines()
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        series = (line.rpartition(" ") for line in lines if line.startswith(f"{metric}{{"))
        return sum(float(value) for words, _, value in series if all(one in words for one in wanted))

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        """The answer's body. Raises Refusal; ConnectionError where there is no answer."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": kind} if kind else {})
        try:
            answer = self.connections.request(method, path, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(f"{method} {path}: {error}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            text = answer.data
            message = json.loads(text)["message"] if text.startswith(b"{") else text.decode()
            raise Refusal(answer.status, message)
        return answer.data

    def apply(self, path: str, body: Object, manager: str = "roadstead") -> Object:
        """Server-side apply. Raises Refusal."""
        return self.ask("PATCH", f"{path}?fieldManager={manager}&force=true", body, APPLY)


@dataclass(frozen=True)
class Starting:
    """An API server that was launched; its processes end with the block that launched it."""

    process: subprocess.Popen[bytes]
    folder: Path
    url: str

    def ready(self) -> ApiServer:
        """Waits until it answers, and has the roles that every cluster has. Raises TimeoutError."""
        token = (self.folder / "tokens.csv").read_text().partition(",")[0]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, "kube-apiserver ended; see apiserver.log"
            try:
                tls = ssl.create_default_context(cafile=str(_certificate(self.folder)))
                api = ApiServer(self.url, token, _connections(self.url, tls), self.folder)
                api.ask("GET", "/api/v1/namespaces/default")
                api.ask("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")
            except (OSError, ssl.SSLError, Refusal):
                time.sleep(0.1)
            else:
                return api
        raise TimeoutError("kube-apiserver is not ready after 60 s")


@contextmanager
def apiserver(folder: Path) -> Iterator[ApiServer]:
    """Both processes for the time of the block; everything they write lies in `folder`."""
    with _starting(folder) as server:
        yield server.ready()


@contextmanager
def _starting(folder: Path) -> Iterator[Starting]:
    """Killed in the end: nobody reads its store again."""
    with etcd(folder) as store, _launched(folder, store, _free_port(), 0) as server:
        yield server


class Spare:
    """An API server for whoever comes next: it starts, which takes seconds, while another one is used."""

    def __init__(self, folders: Callable[[], Path]) -> None:
        self._folders = folders
        self._stack, self._server = self._start()

    def _start(self) -> tuple[ExitStack, Starting]:
        stack = ExitStack()
        return stack, stack.enter_context(_starting(self._folders()))

    @contextmanager
    def taken(self) -> Iterator[ApiServer]:
        """For the time of the block; nobody had it before."""
        with self._stack:
            try:
                server = self._server.ready()
            finally:
                self._stack, self._server = self._start()
            yield server

    def close(self) -> None:
        self._stack.close()


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """Its URL, for an API server, or for one after the other."""
    client, peer = _free_port(), _free_port()
    (folder / "tokens.csv").write_text(f"{secrets.token_hex(16)},admin,admin,system:masters\n")
    _service_account_key(folder / "sa.key")
    (folder / "audit.json").write_text(json.dumps(AUDITED))
    with _running(
        folder / "etcd.log",
        str(_parts().binary("etcd")),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ):
        yield f"http://127.0.0.1:{client}"


@contextmanager
def kube_apiserver(folder: Path, store: str, port: int, patience: float) -> Iterator[ApiServer]:
    """Over an etcd; one that comes after it at the same port is the same to its clients.

    It would end its watches within a minute: after `patience`, in seconds, it is killed.
    """
    with _launched(folder, store, port, patience) as server:
        yield server.ready()


@contextmanager
def _launched(folder: Path, store: str, port: int, patience: float) -> Iterator[Starting]:
    with _running(
        folder / "apiserver.log",
        str(_parts().binary("kube-apiserver")),
        f"--etcd-servers={store}",
        f"--cert-dir={folder / 'certs'}",
        "--bind-address=127.0.0.1",
        "--advertise-address=192.0.2.1",  # of no machine; nobody follows it
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.key'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--disable-admission-plugins=ServiceAccount",
        f"--audit-policy-file={folder / 'audit.json'}",
        f"--audit-log-path={folder / AUDIT_LOG}",
        patience=patience,
    ) as process:
        yield Starting(process, folder, f"https://127.0.0.1:{port}")


def _parts() -> Parts:
    return Parts(Path(os.environ.get("ROADSTEAD_CACHE", Path.home() / ".cache" / "roadstead")))


def _connections(url: str, tls: ssl.SSLContext) -> urllib3.HTTPSConnectionPool:
    """Kept open: a handshake for each look would be half of what looking costs."""
    host, _, port = url.removeprefix("https://").partition(":")
    return urllib3.HTTPSConnectionPool(host, int(port), timeout=30, maxsize=4, ssl_context=tls, retries=False)


def _certificate(folder: Path) -> Path:
    return folder / "certs" / "apiserver.crt"


@contextmanager
def _running(log: Path, *argv: str, patience: float = 15) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | SELDOM_COLLECTED
    with (
        log.open("wb") as output,
        subprocess.Popen(argv, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _service_account_key(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
