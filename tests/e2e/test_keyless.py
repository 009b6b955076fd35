"""Nodes pull with the token of the pod's own ServiceAccount: there is no Secret anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform as machine
import shlex
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cluster.archive import ARCHITECTURES, tar_of
from quickstart.kubectl import Object
from quickstart.story import HOSTNAME, NAMESPACE, REGISTRY, TENANT
from tests.e2e.client import OCI_MANIFEST, Answer, manifest_of
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
MANIFESTS = Path(__file__).parents[2] / "manifests"
ACCOUNT, SPACE = "hello", "barge"  # as in manifests/samples/keyless.yaml
REPOSITORY = f"{NAMESPACE}/keyless"
IMAGE = f"{HOSTNAME}/{REPOSITORY}:1"
LOGIN = f"/token?service={HOSTNAME}&scope=repository:{REPOSITORY}:pull"
ZONE = "topology.kubernetes.io/zone"
REFUSED = {"ImagePullBackOff", "ErrImagePull"}


@dataclass(frozen=True)
class Keyless:
    """The sample Registry, which believes this cluster, and the namespace of the sample application."""

    platform: Platform

    def authentication(self, wanted: Object | None) -> None:
        self._patch("reg", REGISTRY, authentication=wanted)

    def readers(self, *accounts: str) -> None:
        """ServiceAccounts of the application's namespace that may pull; every replica knows it."""
        subjects = [{"serviceAccount": {"namespace": SPACE, "name": name}} for name in accounts]
        self._patch("rns", NAMESPACE, access=[{"role": "Reader", "subjects": subjects}] if subjects else [])
        self.platform.kubectl.until_ready("rns", NAMESPACE, TENANT)

    def _patch(self, kind: str, name: str, **spec: Any) -> None:
        patch = json.dumps({"spec": spec})
        self.platform.kubectl("patch", kind, name, "-n", TENANT, "--type=merge", "-p", patch)

    def push(self) -> None:
        """The sample application as an image that no node has seen: its layer has a mark of its own."""
        program = self.platform.cluster.parts.binary("hello").read_bytes()
        greeting = f"{uuid.uuid4()}\n".encode()
        layer = tar_of({"hello": (program, 0o755), "usr/share/hello/greeting.txt": (greeting, 0o644)})
        config = json.dumps({
            "architecture": ARCHITECTURES[machine.machine()],
            "os": "linux",
            "config": {"Entrypoint": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }).encode()  # fmt: skip
        asyncio.run(self._push(config, layer))

    async def _push(self, config: bytes, layer: bytes) -> None:
        client = self.platform.client(timeout=60)
        for blob in (config, layer):
            assert (await client.push_blob(REPOSITORY, blob)).status == 201
        path, manifest = f"/v2/{REPOSITORY}/manifests/1", manifest_of(config, layer)
        put = await client.ask("PUT", path, data=manifest, headers={"Content-Type": OCI_MANIFEST})
        assert put.status == 201

    @contextmanager
    def pod(self, name: str, account: str, pull: str = "Always") -> Iterator[Object]:
        """A pod in zone-a, for the time of the block."""
        container = {"name": "hello", "image": IMAGE, "imagePullPolicy": pull}
        spec = {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "nodeSelector": {ZONE: "zone-a"},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    **container,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        }
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": spec,
        }
        self.platform.kubectl.apply(made)
        try:
            yield self.platform.kubectl.get("pod", name, SPACE) or {}
        finally:
            self.platform.kubectl("delete", "pod", name, "-n", SPACE, "--ignore-not-found")

    def until_runs(self, name: str) -> None:
        self.platform.kubectl("wait", "pod", name, "-n", SPACE, "--for=condition=Ready", "--timeout=60s")

    def until_refused(self, name: str) -> str:
        """What the kubelet says, once it could not pull."""
        said: list[Object] = []

        def refused() -> bool:
            pod = self.platform.kubectl.get("pod", name, SPACE) or {}
            waits = [one["state"].get("waiting", {}) for one in pod["status"].get("containerStatuses", [])]
            said[:] = [one for one in waits if one.get("reason") in REFUSED]
            return bool(said)

        self.platform.kubectl.until(f"{name} refused", refused, seconds=60)
        return str(said[0]["message"])

    def token_of(self, pod: Object) -> str:
        """As its kubelet gets one."""
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}")
        words = (*bound, f"--bound-object-uid={pod['metadata']['uid']}", f"--audience={HOSTNAME}")
        return self.platform.kubectl("create", "token", ACCOUNT, "-n", SPACE, *words).strip()

    async def login(self, token: str) -> Answer:
        return await self.platform.client(token).ask("GET", LOGIN)


@pytest.fixture(scope="module")
def keyless(platform: Platform) -> Iterator[Keyless]:
    """What docs/keyless.md says, but for the nodes, which have it already; all of it is taken back."""
    stage = Keyless(platform)
    kubectl, account = platform.kubectl, {"apiVersion": "v1", "kind": "ServiceAccount"}
    stage.push()
    kubectl.apply_file(MANIFESTS / "keyless")
    stage.authentication({"kubernetes": {}})
    stage.readers(ACCOUNT)
    kubectl.apply(*sample(), {**account, "metadata": {"name": "stranger", "namespace": SPACE}})
    yield stage
    kubectl("delete", "namespace", SPACE, "--wait=false")
    stage.readers()
    stage.authentication(None)
    kubectl("delete", "-k", str(MANIFESTS / "keyless"))


def sample() -> list[Object]:
    """The sample application, of the image that nobody has."""
    text = (MANIFESTS / "samples" / "keyless.yaml").read_text()
    return list(yaml.safe_load_all(text.replace(f"{HOSTNAME}/{NAMESPACE}/hello:1", IMAGE)))


def test_a_node_in_each_zone_pulls_with_the_pods_own_token(keyless: Keyless) -> None:
    """The sample application runs in three zones, in a namespace where there is no Secret at all."""
    kubectl = keyless.platform.kubectl

    kubectl.until_rolled_out([ACCOUNT], SPACE)

    assert kubectl.list("secret", "-n", SPACE) == []
    pods = kubectl.list("pod", "-n", SPACE, "-l", "app.kubernetes.io/name=hello")
    assert not any("imagePullSecrets" in pod["spec"] for pod in pods)
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"][ZONE] for node in kubectl.list("node")}
    assert {nodes[pod["spec"]["nodeName"]] for pod in pods} == {"zone-a", "zone-b", "zone-c"}


def test_another_service_account_is_refused(keyless: Keyless) -> None:
    """Also where the image is on the node already; with the role it runs."""
    with keyless.pod("stranger", "stranger", pull="IfNotPresent"):
        assert "403 Forbidden" in keyless.until_refused("stranger")
    keyless.readers(ACCOUNT, "stranger")
    with keyless.pod("guest", "stranger", pull="IfNotPresent"):
        keyless.until_runs("guest")
    keyless.readers(ACCOUNT)


async def test_a_reviewed_token_ends_with_its_pod(keyless: Keyless) -> None:
    """With the right that the condition asks for; offline the same token goes on until it expires."""
    platform = keyless.platform
    keyless.authentication({"kubernetes": {"review": True}})
    found = platform.until_condition("reg", REGISTRY, TENANT, AuthenticationReady="TokenReviewNotPermitted")
    command = found["AuthenticationReady"]["message"].splitlines()[-1]
    binding = shlex.split(command)[1:]
    assert binding[:2] == ["create", "clusterrolebinding"]
    platform.kubectl(*binding)
    platform.until_condition("reg", REGISTRY, TENANT, AuthenticationReady="TokensReviewed", Ready="True")

    with keyless.pod("brief", ACCOUNT) as pod:
        keyless.until_runs("brief")
        token = keyless.token_of(pod)
        assert (await keyless.login(token)).status == 200

    async with asyncio.timeout(15):
        while (answer := await keyless.login(token)).status == 200:
            await asyncio.sleep(0.5)
    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])

    platform.kubectl("delete", *binding[1:3])
    keyless.authentication({"kubernetes": {"review": False}})
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)
    keyless.readers(ACCOUNT)
    assert (await keyless.login(token)).status == 200, "the trade of offline: ten minutes at most"
