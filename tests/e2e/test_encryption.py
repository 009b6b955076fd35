"""A Registry under its tenant's keys, in three zones: turned under load, taken away, put back."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from quickstart.errors import CommandFailed
from quickstart.kubectl import Object, conditions
from quickstart.story import NAMESPACE, TENANT
from tests.e2e.client import digest_of
from tests.e2e.load import Load
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
NAME, CLAIM, SECRET = "sealed", "vault", "sealed-keys"
BUCKETS = "/var/lib/roadstead-s3/buckets/harbour"  # of the sample's S3 server, on its node


@dataclass
class Sealed(OwnRegistry):
    """The encrypted Registry, and its tenant's hands."""

    keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    def hold(self, **keys: bytes) -> None:
        """The Secret has exactly these keys, raw."""
        self.keys = keys
        data = {name: base64.b64encode(key).decode() for name, key in keys.items()}
        metadata = {"name": SECRET, "namespace": TENANT}
        self.platform.kubectl.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        )

    def activate(self, key: str) -> None:
        """This one encrypts from now on."""
        self.declare(encryption={"keySecretRef": {"name": SECRET}, "activeKey": key})

    def until_condition_says(self, name: str, sentence: str) -> None:
        """Replicas see the Secret at different times: what they say first may be true of the one before."""

        def message() -> str:
            found = self.platform.kubectl.get("reg", NAME, TENANT) or {}
            return str(conditions(found)[name]["message"])

        self.platform.kubectl.until(f"{name}: {sentence}", lambda: sentence in message(), why=message)

    @property
    def said(self) -> Object:
        """`status.encryption`."""
        found = self.platform.kubectl.get("reg", NAME, TENANT) or {}
        return dict(found["status"]["encryption"])

    def until_said(self, true: Callable[[Object], bool], seconds: float = 120) -> None:
        """Until `status.encryption` is so."""
        self.platform.kubectl.until(
            "status.encryption", lambda: true(self.said), seconds=seconds, why=lambda: repr(self.said)
        )

    def on_disk(self, command: str) -> str:
        """What a shell on the S3 server's node prints."""
        (pod,) = self.platform.kubectl.list("pod", "-n", "s3-system", "-l", "app.kubernetes.io/name=s3")
        done = self.platform.cluster.exec(pod["spec"]["nodeName"], ["sh", "-c", f"{command} || true"])
        return done.stdout.decode()


@pytest.fixture(scope="module")
def sealed(platform: Platform) -> Iterator[Sealed]:
    """Three replicas, ready, under the key k1; its own token may do everything in its namespace."""
    registry = Sealed(platform, NAME, CLAIM)
    registry.hold(k1=os.urandom(32))
    registry.activate("k1")
    try:
        with registry.claimed():
            yield registry
    finally:
        platform.kubectl("delete", f"secret/{SECRET}", "-n", TENANT)


async def test_nothing_of_the_content_can_be_read_in_the_bucket(platform: Platform, sealed: Sealed) -> None:
    """Neither content nor digest is found there; of a Registry without keys both are."""
    assert sealed.until(EncryptionReady="Active")["EncryptionReady"]["message"].startswith("k1 (id ")
    word = secrets.token_hex(16)
    layer = f"a word that is known: {word}".encode() * 1000
    for client, repository in (
        (sealed.client(), f"{CLAIM}/known"),
        (platform.client(), f"{NAMESPACE}/known"),
    ):
        digest = await client.push_image(repository, "1", layer)
        assert layer in await client.pull_image(repository, digest)
    name = digest_of(layer).partition(":")[2]
    for place, readable in ((f"{BUCKETS}/{sealed.prefix}", False), (BUCKETS, True)):
        assert bool(sealed.on_disk(f"grep -rl {word} {place}").strip()) is readable
        assert bool(sealed.on_disk(f"find {place} | grep {name}").strip()) is readable


async def test_a_key_is_turned_under_load(sealed: Sealed) -> None:
    """Added, made active, waited for, the old one removed: no request fails, no replica restarts."""
    load = Load(sealed.client(), f"{CLAIM}/turned", workers=3)
    restarts, k1, k2 = sealed.restarts, sealed.keys["k1"], os.urandom(32)
    async with load.steady():
        await asyncio.sleep(3)
        await asyncio.to_thread(sealed.hold, k1=k1, k2=k2)
        await asyncio.to_thread(sealed.activate, "k2")
        await asyncio.to_thread(sealed.until_said, lambda said: said.get("removable") == ["k1"], 300)
        said = sealed.said
        assert sealed.until(EncryptionReady="KeyRemovable")
        assert said["active"]["name"] == "k2"
        assert said["rewrapping"]["done"]
        assert said["rewrapping"]["rewrapped"] > 0
        await asyncio.to_thread(sealed.hold, k2=k2)
        await asyncio.to_thread(sealed.until_said, lambda said: list(said["keys"]) == ["k2"])
        assert sealed.until(EncryptionReady="Active")
        await asyncio.sleep(3)
    print(f"key turned: {load.summary()}; {said['rewrapping']}")
    assert len(load.acknowledged) > 10
    assert load.failures == []
    assert await load.lost() == []
    assert sealed.restarts == restarts
    assert sealed.until(StorageReady="Ready")["Ready"]["status"] == "True"


async def test_a_missing_then_wrong_then_right_key(sealed: Sealed) -> None:
    """Each has its condition, with the id of the key that is missed; nothing is written under a wrong one."""
    right, client = dict(sealed.keys), sealed.client()
    (active,) = right
    digest = await client.push_image(f"{CLAIM}/guarded", "1", secrets.token_bytes(1000))
    identity = sealed.said["active"]["id"]

    await asyncio.to_thread(sealed.hold, k9=os.urandom(32))
    found = await asyncio.to_thread(
        sealed.until, StorageReady="EncryptionKeyMissing", EncryptionReady="SecretKeyMissing"
    )
    assert identity in found["StorageReady"]["message"]
    assert found["EncryptionReady"]["message"].endswith(f"lacks {active}")
    assert found["Ready"]["status"] == "False"

    await asyncio.to_thread(sealed.hold, **{active: os.urandom(32)})
    await asyncio.to_thread(
        sealed.until_condition_says, "EncryptionReady", f"(id {identity}); put that one back"
    )
    await asyncio.to_thread(sealed.until, StorageReady="EncryptionKeyMissing", EncryptionReady="KeyInvalid")
    assert (await client.push_blob(f"{CLAIM}/guarded", b"under a wrong key")).status >= 500

    await asyncio.to_thread(sealed.hold, **right)
    found = await asyncio.to_thread(sealed.until, Ready="True", EncryptionReady="Active")
    assert await client.pull_image(f"{CLAIM}/guarded", digest)
    await client.push_image(f"{CLAIM}/guarded", "2", secrets.token_bytes(1000))


def test_encryption_is_not_taken_away(sealed: Sealed) -> None:
    """The API server itself refuses it, whoever asks."""
    patch = '[{"op": "remove", "path": "/spec/encryption"}]'
    with pytest.raises(CommandFailed, match=r"spec\.encryption is set when the Registry is created"):
        sealed.platform.kubectl("patch", "reg", NAME, "-n", TENANT, "--type=json", "-p", patch)
    assert conditions(sealed.platform.kubectl.get("reg", NAME, TENANT))["EncryptionReady"]["status"] == "True"
