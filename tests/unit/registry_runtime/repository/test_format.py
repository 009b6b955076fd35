"""The storage's format: what lies in a bucket today must be readable for ever."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from tests.images import body, descriptor, image, push_blobs

if TYPE_CHECKING:
    from registry_runtime.repository import Registry
    from registry_runtime.storage.directory import Directory

NAMED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[0-9a-f]{16}")
CHANGE = re.compile(rb',"change":"[0-9a-f]{32}"')
NAME = RepositoryName("team/app")
CONFIG, LAYER = Digest.of(b"{}"), Digest.of(b"layer")
SUBJECT = Digest.of(b"subject")
MANIFEST = image(subject=descriptor(b"subject", OCI_IMAGE).to_json())
DIGEST = Digest.of(MANIFEST)


@pytest.mark.parametrize("vault", ["clear"], indirect=True)
async def test_each_object_has_its_key_and_its_form(registry: Registry, storage: Directory) -> None:
    """All that a push leaves, key by key, line by line."""
    await registry.check()
    await push_blobs(registry, NAME, b"{}", b"layer")
    await registry.manifests.put(NAME, Tag("v1"), OCI_IMAGE, MANIFEST)
    upload = await registry.uploads.append(NAME, registry.uploads.start(NAME).id, body(b"tail"), "token")
    stored: dict[str, bytes] = {}
    for entry in (await storage.list("")).entries:
        found = await storage.get(entry.key)
        assert found is not None
        stored[entry.key] = found.content if entry.key.startswith("data/") else unchanging(found.content)
    (data,) = [key for key in stored if key.startswith("data/")]
    assert NAMED.fullmatch(data.removeprefix("data/"))
    head, _, tail = stored.pop(f"uploads/{upload.id}").partition(b"\n")
    session = json.loads(head)
    assert session.pop("touched")
    assert session.pop("data").startswith(f"{upload.id}.")
    pointer = {"version": 1, "data": data.removeprefix("data/"), "size": 5, "state": "live"}
    inline = {"version": 1, "data": "", "size": 2, "state": "live"}
    target = {"mediaType": OCI_IMAGE, "digest": str(DIGEST), "size": len(MANIFEST)}
    repository = "repositories/team/app"
    assert stored == {
        "roadstead.json": line({"version": 1, "format": 1, "owner": "owner", "encrypted": False}),
        data: b"layer",
        f"blobs/sha256/{LAYER.hex}": line(pointer),
        f"placements/{LAYER}/team!app": line({"version": 1}),
        f"{repository}/_blobs/{LAYER}": line({"version": 1, "by": "test"}),
        f"blobs/sha256/{CONFIG.hex}": line(inline) + b"{}",
        f"placements/{CONFIG}/team!app": line({"version": 1}),
        "catalog/team!app": line({"version": 1}),
        f"{repository}/_blobs/{CONFIG}": line({"version": 1, "by": "test"}),
        f"{repository}/_manifests/{DIGEST}": line(
            {"version": 1, "mediaType": OCI_IMAGE, "digest": str(DIGEST)}
        )
        + MANIFEST,
        f"{repository}/_tags/v1": line({"version": 1, "target": target}),
        f"{repository}/_tagged/{DIGEST}/v1": line({"version": 1}),
        f"{repository}/_referrers/{SUBJECT}/{DIGEST}": line({"version": 1}),
    }
    assert tail == b"tail"
    assert session == {
        "version": 1,
        "repository": "team/app",
        "by": "token",
        "received": 4,
        "multipart": None,
        "parts": [],
        "next": 1,
        "digest": str(Digest.of(b"tail")),
        "commits": None,
        "failed": False,
    }


def unchanging(content: bytes) -> bytes:
    """A record without what is random in each write."""
    changed, count = CHANGE.subn(b"", content, count=1)
    assert count == 1
    return changed


def line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
