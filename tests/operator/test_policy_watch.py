"""A replica follows its policy at a real API server, with no more rights than the operator gives it."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from registry_runtime import kubernetes
from registry_runtime.contract.policy import KEY, Claim, Policy, packed
from registry_runtime.policy import PolicyFollower
from tests.operator.apiserver import ApiServer

pytestmark = pytest.mark.cluster

NAMESPACE = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
SHARDS = ["reg-policy-0", "reg-policy-1"]


@pytest.fixture
def server(fresh: ApiServer, tmp_path: Path) -> kubernetes.ApiServer:
    """The API as the replica's ServiceAccount sees it."""
    fresh.apply(f"{NAMESPACE}/serviceaccounts/replica", _object("v1", "ServiceAccount", "replica"))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = fresh.ask("POST", f"{NAMESPACE}/serviceaccounts/replica/token", request)
    (tmp_path / "token").write_text(made["status"]["token"])
    return kubernetes.ApiServer(fresh.url, tmp_path / "token", fresh.certificate)


def _object(version: str, kind: str, name: str, **fields: object) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def policy(namespace: str, owner: str) -> Policy:
    return Policy(namespaces={namespace: Claim(account="a", owner=owner)})


def store(api: ApiServer, shard: str, content: Policy) -> None:
    data = {KEY: base64.b64encode(packed(content.encode())).decode()}
    api.apply(f"{NAMESPACE}/secrets/{shard}", _object("v1", "Secret", shard, data=data))


def allow(api: ApiServer) -> None:
    rule = {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": SHARDS,
        "verbs": ["get", "list", "watch"],
    }
    group = "rbac.authorization.k8s.io"
    api.apply(f"{RBAC}/roles/replica", _object(f"{group}/v1", "Role", "replica", rules=[rule]))
    bound = _object(
        f"{group}/v1",
        "RoleBinding",
        "replica",
        roleRef={"apiGroup": group, "kind": "Role", "name": "replica"},
        subjects=[{"kind": "ServiceAccount", "name": "replica", "namespace": "default"}],
    )
    api.apply(f"{RBAC}/rolebindings/replica", bound)


async def test_the_policy_is_followed(fresh: ApiServer, server: kubernetes.ApiServer, tmp_path: Path) -> None:
    """Without the right it waits, with it it follows: every change comes into force."""
    second = policy("other", "uid")
    for shard, content in zip(SHARDS, (policy("team", "first"), second), strict=True):
        store(fresh, shard, content)
    follower = PolicyFollower({shard: tmp_path / shard for shard in SHARDS}, start=None, changed=_nothing)
    jobs = [asyncio.create_task(job()) for job in follower.watches(server, "default")]
    try:
        await asyncio.sleep(1)
        assert follower.revision is None
        await asyncio.to_thread(allow, fresh)
        await _in_force(follower, Policy.merge((policy("team", "first"), second)))
        for number in range(50):
            changed = policy("team", f"uid-{number}")
            await asyncio.to_thread(store, fresh, SHARDS[0], changed)
            await _in_force(follower, Policy.merge((changed, second)))
        await asyncio.to_thread(fresh.ask, "DELETE", f"{NAMESPACE}/secrets/{SHARDS[1]}")
        await asyncio.sleep(0.5)
        assert "other" in follower.policy().namespaces
        third = policy("other", "again")
        await asyncio.to_thread(store, fresh, SHARDS[1], third)
        await _in_force(follower, Policy.merge((changed, third)))
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def test_a_silent_watch_is_begun_anew(
    fresh: ApiServer,
    server: kubernetes.ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that has nothing to say is not away: nothing is missed, and nobody is alarmed."""
    monkeypatch.setattr(kubernetes, "_SILENT_SECONDS", 0.5)
    caplog.set_level("INFO")
    allow(fresh)
    store(fresh, SHARDS[0], policy("team", "before"))
    watch = kubernetes.SecretWatch(server, "default", SHARDS[0])
    seen: list[kubernetes.Secret | None] = []
    job = asyncio.create_task(watch.follow(seen.append))
    try:
        async with asyncio.timeout(30):
            while caplog.text.count("a silent watch begins anew") < 3:
                await asyncio.sleep(0.01)
        assert watch.connected
        assert len(seen) == 1
        await asyncio.to_thread(store, fresh, SHARDS[0], policy("team", "after"))
        async with asyncio.timeout(30):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert [secret and secret[KEY] for secret in seen] == [
        packed(policy("team", "before").encode()),
        packed(policy("team", "after").encode()),
    ]
    assert "away" not in caplog.text


async def _in_force(follower: PolicyFollower, expected: Policy) -> None:
    """Returns as soon as the policy is in force. Raises TimeoutError."""
    async with asyncio.timeout(30):
        while follower.revision != expected.revision:
            await asyncio.sleep(0.001)


def _nothing() -> None:
    pass
