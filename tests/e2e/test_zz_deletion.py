"""Resources go in any order, with and without the operator, and nothing of them stays."""

from __future__ import annotations

import itertools
import secrets
from pathlib import Path
from typing import Any

import pytest
from registry_operator.desired.consent import mark
from registry_operator.names import REGISTRY_ROLE, SECRETS_ROLE

from quickstart.errors import CommandFailed
from quickstart.kubectl import Kubectl, sentences
from quickstart.story import REGISTRY, TENANT
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform, resource

pytestmark = pytest.mark.cluster
DELETION = Path("docs/deletion.md")
OWNED = "app.kubernetes.io/managed-by=roadstead"
OPERATOR = "--serviceaccount=roadstead-system:roadstead-operator"


def tenant(name: str) -> list[dict[str, Any]]:
    """A small Registry, a Namespace, and a token whose pull secret goes to another Kubernetes namespace."""
    reference = {"name": "small"}
    registry = {
        "hostname": f"{name}.roadstead.test",
        "replicas": 1,
        "zones": {"minimum": 1},
        "storage": {"ephemeral": {}},
    }
    token = {
        "registryRefs": [reference],
        "permissions": [{"repositories": [f"{name}/**"], "actions": ["pull"]}],
        "pullSecrets": {"name": "small-pull", "namespaces": [f"{name}-app"]},
    }
    return [
        resource("Registry", "small", name, registry),
        resource("Namespace", "claimed", name, {"registryRef": reference, "name": name}),
        resource("AccessToken", "reader", name, token),
    ]


def prepare(kubectl: Kubectl, name: str) -> None:
    for namespace, role in ((name, REGISTRY_ROLE), (f"{name}-app", SECRETS_ROLE)):
        kubectl("create", "namespace", namespace)
        kubectl("create", "rolebinding", role, "-n", namespace, f"--clusterrole={role}", OPERATOR)
    kubectl("annotate", "rolebinding", SECRETS_ROLE, "-n", f"{name}-app", f"{mark(name)}=true")
    kubectl.apply(*tenant(name))
    kubectl.until_ready("reg", "small", name, 180)
    kubectl.until_ready("at", "reader", name, 60)


def leave(kubectl: Kubectl, *namespaces: str) -> None:
    """They go by themselves, which takes half of their pods' grace period at least."""
    kubectl("delete", "namespace", *namespaces, "--wait=false")


def owned(kubectl: Kubectl, namespace: str) -> list[str]:
    """What is left there that carries the operator's label."""
    kinds = "deployment,service,configmap,secret,serviceaccount,role,rolebinding,pdb,networkpolicy"
    return [
        f"{each['kind']}/{each['metadata']['name']}"
        for each in kubectl.list(kinds, "-n", namespace, "-l", OWNED)
    ]


def test_any_order_leaves_nothing(platform: Platform) -> None:
    """Each of the six orders of deleting Registry, Namespace and AccessToken ends with nothing left."""
    kubectl = platform.kubectl
    prepare(kubectl, "orderly")
    for order in itertools.permutations(("reg/small", "rns/claimed", "at/reader")):
        kubectl.apply(*tenant("orderly"))
        kubectl.until(
            f"the pull secret, before {order}",
            lambda: kubectl.get("secret", "small-pull", "orderly-app") is not None,
            why=lambda: "\n".join(
                sentences(kubectl.get(kind, name, "orderly"))
                for kind, name in (("reg", "small"), ("at", "reader"))
            ),
        )
        for one in order:
            kubectl("delete", one, "-n", "orderly", "--timeout=60s")
        kubectl.until(
            f"nothing is left after {order}",
            lambda: owned(kubectl, "orderly") + owned(kubectl, "orderly-app") == [],
            why=lambda: str(owned(kubectl, "orderly") + owned(kubectl, "orderly-app")),
            seconds=60,
        )
    leave(kubectl, "orderly", "orderly-app")


def test_a_namespace_goes_while_the_operator_is_gone(platform: Platform) -> None:
    """Without the operator nothing blocks; what lies elsewhere stays labelled, and goes when it returns."""
    kubectl = platform.kubectl
    prepare(kubectl, "orphan")
    with platform.without_operator():
        kubectl("delete", "namespace", "orphan", "--timeout=90s")
        assert "Secret/small-pull" in owned(kubectl, "orphan-app")
    kubectl.until("the orphaned pull secret goes", lambda: owned(kubectl, "orphan-app") == [], seconds=60)
    leave(kubectl, "orphan-app")


def test_the_documented_command_removes_what_is_left_for_good(platform: Platform) -> None:
    """Where the operator will not come back, the command of the docs finds every pull secret, and no more."""
    kubectl = platform.kubectl
    (line,) = [
        line for line in DELETION.read_text().splitlines() if line.startswith("kubectl delete secret ")
    ]
    before = kubectl("get", "secret", "-n", "harbour", "-o", "name")
    prepare(kubectl, "stranded")
    with platform.without_operator():
        leave(kubectl, "stranded")
        kubectl(*line.split()[1:])
        assert owned(kubectl, "stranded-app") == []
        assert kubectl("get", "secret", "-n", "harbour", "-o", "name") == before
    leave(kubectl, "stranded-app")
    kubectl.until_ready("at", "deployer", "harbour", 60)


def test_images_that_run_keep_their_registry(platform: Platform) -> None:
    """The sample's application runs one of the sample's Registry, which the operator sees soon."""
    kubectl = platform.kubectl
    kubectl.until(
        "the images are seen",
        lambda: platform.condition("reg", REGISTRY, TENANT, "InUse").get("reason") == "ImagesRun",
    )
    with pytest.raises(CommandFailed, match="is in use"):
        kubectl("delete", f"reg/{REGISTRY}", "-n", TENANT, "--dry-run=server")


async def test_the_content_goes_and_then_the_registry(platform: Platform, tmp_path: Path) -> None:
    """Two replicas, an image and an upload that never ended; somebody's file under the same prefix stays."""
    kubectl, own = platform.kubectl, OwnRegistry(platform, "passing", "passing")
    own.declare(replicas=2, zones={"minimum": 2}, deletionPolicy="Delete")
    with own.claimed():
        client = own.client()
        await client.push_image("passing/app", "v1", secrets.token_bytes(3_000_000))
        begun = await client.ask("POST", "/v2/passing/app/blobs/uploads/")
        part = await client.ask("PATCH", begun.headers["location"], data=secrets.token_bytes(6_000_000))
        assert part.status == 202
        async with platform.bucket(tmp_path, own.prefix) as bucket:
            await bucket.put("notes.txt", [b"somebody's"])
            assert await bucket.unfinished("")
            kubectl("delete", f"reg/{own.name}", "-n", TENANT, "--timeout=120s")
            assert [one.key for one in (await bucket.list("")).entries] == ["notes.txt"]
            assert not await bucket.unfinished("")
    kubectl.until(
        "an Event has the last word",
        lambda: any("stay: notes.txt" in one.get("note", "") for one in events(kubectl)),
        seconds=30,
    )


def test_namespaces_that_were_left_are_gone(platform: Platform) -> None:
    """Nothing holds up one that had a Registry, or a pull secret; nobody waited for it until now."""
    for name in ("orderly", "orderly-app", "orphan-app", "stranded", "stranded-app"):
        platform.kubectl("wait", f"namespace/{name}", "--for=delete", "--timeout=60s")


def events(kubectl: Kubectl) -> list[dict[str, Any]]:
    return kubectl.list("events.v1.events.k8s.io", "-n", TENANT)
