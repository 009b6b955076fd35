"""The runtime's image is upgraded, and taken back, while images are pushed and pulled."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_cluster.archive import member
from quickstart.kubectl import Object
from quickstart.story import NAMESPACE, REGISTRY, TENANT
from tests.e2e.load import Load
from tests.e2e.platform import OPERATOR, Platform

pytestmark = pytest.mark.cluster
SECONDS = 240  # for a rollout, also on a machine that has other work


def another(archive: Path, tag: str, folder: Path) -> Path:
    """The same image under another tag and with another id: a label more."""
    copy = folder / "another.tar"
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        (manifest,) = json.loads(member(source, "manifest.json"))
        config = json.loads(member(source, manifest["Config"]))
        config.setdefault("config", {}).setdefault("Labels", {})["another"] = tag
        content = json.dumps(config).encode()
        named = f"{hashlib.sha256(content).hexdigest()}.json"
        said = json.dumps([{**manifest, "Config": named, "RepoTags": [tag]}]).encode()
        for name, data in ((named, content), ("manifest.json", said)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
        for layer in dict.fromkeys(manifest["Layers"]):
            info = source.getmember(layer)
            while info.issym():  # as Docker writes a layer that another image has, too
                info = source.getmember(str(Path(layer).parent / info.linkname))
            info.name = layer
            target.addfile(info, source.extractfile(info))
    return copy


def bring(platform: Platform, image: str) -> None:
    """The operator is replaced by one with this image of the runtime."""
    name, namespace = OPERATOR
    platform.kubectl("set", "env", f"deployment/{name}", "-n", namespace, f"RUNTIME_IMAGE={image}")
    platform.kubectl.until_rolled_out([name], namespace)


@contextmanager
def bringing(platform: Platform, image: str, before: str) -> Iterator[None]:
    """For the time of the block; afterwards everything runs what it ran."""
    try:
        bring(platform, image)
        yield
    finally:
        bring(platform, before)
        opt_in(platform, "=now")
        until_it_runs(platform, before)
        opt_in(platform, "-")


def opt_in(platform: Platform, value: str) -> None:
    annotation = f"roadstead.dev/upgrade-to{value}"
    platform.kubectl("annotate", "reg", REGISTRY, "-n", TENANT, annotation, "--overwrite")


def until(platform: Platform, reason: str) -> None:
    platform.until_condition("reg", REGISTRY, TENANT, seconds=SECONDS, UpToDate=reason)


def until_it_runs(platform: Platform, image: str) -> None:
    """And is Ready in it. Until the operator that was just started has looked, the status is another's."""

    def is_begun() -> bool:
        found = platform.kubectl.get("reg", REGISTRY, TENANT) or {"status": {}}
        return str(found["status"].get("release")).startswith(f"{image}+")

    platform.kubectl.until(f"an upgrade to {image}", is_begun, seconds=SECONDS)
    until(platform, "Newest")


def running(pods: list[Object]) -> dict[str, str]:
    """Images by pod."""
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in pods}


async def test_an_upgrade_and_the_way_back_fail_no_request(platform: Platform, tmp_path: Path) -> None:
    """A newer operator changes no pod; an opt-in changes all of them under load, and so does the way back."""
    before = running(platform.replicas())
    (old,) = set(before.values())
    new = f"{old.rpartition(':')[0]}:another"
    archive = platform.story.provider.build().runtime.archive
    platform.cluster.load([another(archive, new, tmp_path)])
    load = Load(platform.client(), f"{NAMESPACE}/upgrade")
    with bringing(platform, new, old):
        until(platform, "UpgradeAvailable")
        assert running(platform.replicas()) == before
        async with load.steady():
            for image in (new, old):
                await asyncio.to_thread(bring, platform, image)
                await asyncio.to_thread(opt_in, platform, "=now")
                await asyncio.to_thread(until_it_runs, platform, image)
                pods = await asyncio.to_thread(platform.replicas)
                assert set(running(pods).values()) == {image}
                assert not running(pods).keys() & before.keys()
    print(f"an upgrade and back: {load.summary()}")
    assert load.failures == []
    assert len(load.acknowledged) > 10
    assert load.pulls > 10
    assert await load.lost() == []
