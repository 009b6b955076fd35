"""Every kind of content, from the push to the last delete: one table, as the specification's suite has it.

https://github.com/opencontainers/distribution-spec/blob/main/conformance/run.go
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, Client, descriptor, digest_of

EMPTY = "application/vnd.oci.empty.v1+json"
EXAMPLE = "application/vnd.example.oci.conformance"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
Descriptor = dict[str, Any]


@dataclass
class Content:
    """What is pushed: blobs and manifests by their digests, in this order, and the manifests' tags."""

    algorithm: str = "sha256"
    by_query: bool = False  # tags are set by the query of a push by digest
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def blob(self, media_type: str, content: bytes) -> Descriptor:
        digest = digest_of(content, self.algorithm)
        self.blobs[digest] = content
        return descriptor(media_type, digest, len(content))

    def image(
        self, *tags: str, layers: int = 3, config: str = CONFIG, layer: str = LAYER, **more: Any
    ) -> Descriptor:
        """`more` is added to the manifest."""
        contents = [self.blob(layer, os.urandom(300)) for _ in range(layers)]
        named = {
            "config": self.blob(config, b"{}" if config == EMPTY else os.urandom(90)),
            "layers": contents,
        }
        return self.manifest(OCI_IMAGE, *tags, **named, **more)

    def index(self, *tags: str, of: int | list[Descriptor] = 2, **more: Any) -> Descriptor:
        """Of given manifests, or of so many new images, each for a platform of its own."""
        children = [self.image() for _ in range(of)] if isinstance(of, int) else of
        platforms = [{"os": "linux", "architecture": f"cpu{n}"} for n in range(len(children))]
        listed = [{**one, "platform": on} for one, on in zip(children, platforms, strict=True)]
        return self.manifest(OCI_INDEX, *tags, manifests=listed, **more)

    def manifest(self, media_type: str, *tags: str, **document: Any) -> Descriptor:
        content = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}, indent=1).encode()
        digest = digest_of(content, self.algorithm)
        self.manifests[digest] = (media_type, content)
        self.tags |= dict.fromkeys(tags, digest)
        return descriptor(media_type, digest, len(content))


def missing(media_type: str = OCI_IMAGE) -> Descriptor:
    return descriptor(media_type, digest_of(os.urandom(9)), 123)


def artifact(content: Content, *tags: str, **more: Any) -> Descriptor:
    note = {"org.example.note": os.urandom(4).hex()}
    given = {"artifactType": EXAMPLE, "annotations": note, **more}
    return content.image(*tags, layers=1, config=EMPTY, layer=EXAMPLE, **given)


def artifact_without_layers(content: Content) -> None:
    nothing = content.blob(EMPTY, b"{}")
    content.manifest(OCI_IMAGE, "bare", config=nothing, layers=[nothing], artifactType=EXAMPLE)


def artifacts_with_subject(content: Content) -> None:
    subject = content.image("image")
    content.image(subject=subject)
    artifact(content, "artifact-1", subject=subject)
    artifact(content, "artifact-2", subject=subject, artifactType=f"{EXAMPLE}.other")


def index_with_subject(content: Content) -> None:
    subject = content.index("index")
    content.index("artifact", of=[artifact(content)], subject=subject, artifactType=EXAMPLE)
    content.index(of=[], subject=subject)


def data_field(content: Content) -> None:
    config = {**content.blob(EMPTY, b"{}"), "data": "e30="}
    content.manifest(OCI_IMAGE, "data", config=config, layers=[config])


def foreign_layers(content: Content) -> None:
    elsewhere = [
        missing(kind) | {"urls": ["https://store.example.com/x"]} for kind in (FOREIGN, f"{FOREIGN}+gzip")
    ]
    own = content.blob(LAYER, b"own")
    content.manifest(OCI_IMAGE, "foreign", config=content.blob(CONFIG, b"{}"), layers=[*elsewhere, own])


def sparse(content: Content) -> None:
    config = content.blob(CONFIG, b"{}")
    content.manifest(OCI_IMAGE, "sparse-image", config=config, layers=[missing(LAYER)])
    content.index("sparse-index", of=[content.image(), missing()])


def three_tags(content: Content) -> None:
    content.by_query = True
    content.index("one", "two", of=[content.image("three")])


LARGE = {f"large-{n}": "A" * 10_000 for n in range(390)}  # 3.9 MB
KINDS: dict[str, Callable[[Content], object]] = {
    "image": lambda content: content.image("image"),
    "uncompressed": lambda content: content.image("uncompressed", layer=LAYER.removesuffix("+gzip")),
    "large manifest": lambda content: content.image("large", annotations=LARGE),
    "index": lambda content: content.index("index"),
    "nested index": lambda content: content.index("nested", of=[content.index(), content.index()]),
    "empty index": lambda content: content.index("empty", of=[]),
    "artifact": lambda content: artifact(content, "artifact"),
    "artifact index": lambda content: content.index("index", of=[artifact(content)], artifactType=EXAMPLE),
    "artifact without layers": artifact_without_layers,
    "artifacts with subject": artifacts_with_subject,
    "index with subject": index_with_subject,
    "missing subject": lambda content: artifact(content, "artifact", subject=missing()),
    "data field": data_field,
    "foreign layers": foreign_layers,
    "custom fields": lambda content: content.index(
        "custom", of=[content.image(custom={"a": [1]})], custom="x"
    ),
    "no layers": lambda content: content.image("bare", layers=0),
    "sparse": sparse,
    "tags of the query": three_tags,
}


LIVES = [*((kind, "sha256") for kind in KINDS), ("index", "sha512"), ("tags of the query", "sha512")]


@pytest.mark.parametrize(("kind", "algorithm"), LIVES)
def test_a_whole_life(client: Client, kind: str, algorithm: str) -> None:
    """Pushed by digest and by tag, listed, looked at, pulled, referred to; each delete hides at once."""
    content = Content(algorithm)
    KINDS[kind](content)
    if algorithm == "sha512":
        content.by_query = True  # a push by tag has a digest of the registry's choice
    namespace = "mirror" if kind == "sparse" else "team"
    client = replace(client, repository=client.repository.replace("team", namespace))
    push(client, content)
    listed = client.send("GET", f"{client.base}/tags/list")
    assert (listed.json()["tags"] if content.tags else []) == sorted(content.tags)
    pull(client, content)
    for digest in content.manifests:
        assert_referrers(client, content, digest)
    delete(client, content)


def push(client: Client, content: Content) -> None:
    for blob in content.blobs.values():
        client.push_blob(blob, content.algorithm)
    for digest, (media_type, manifest) in content.manifests.items():
        tags = [tag for tag, of in content.tags.items() if of == digest]
        query = "?" + "&".join(f"tag={tag}" for tag in tags) if content.by_query else ""
        answers = [client.put_manifest(digest + query, manifest, media_type)]
        assert (answers[0].headers.get_all("OCI-Tag") or []) == (tags if content.by_query else [])
        if not content.by_query:
            answers += [client.put_manifest(tag, manifest, media_type) for tag in tags]
        for answer in answers:
            assert (answer.status, answer["Docker-Content-Digest"]) == (201, digest), answer.body
            assert answer["OCI-Subject"] == json.loads(manifest).get("subject", {}).get("digest")
            assert client.send("GET", answer.location).body == manifest


def pull(client: Client, content: Content) -> None:
    wanted = [(digest, digest) for digest in content.manifests] + list(content.tags.items())
    paths = {f"manifests/{reference}": (digest, *content.manifests[digest]) for reference, digest in wanted}
    for digest, blob in content.blobs.items():
        paths[f"blobs/{digest}"] = (digest, "application/octet-stream", blob)
    for path, (digest, media_type, body) in paths.items():
        for method in ("HEAD", "GET"):
            answer = client.send(method, f"{client.base}/{path}")
            assert (answer.status, answer["Docker-Content-Digest"]) == (200, digest)
            assert (answer["Content-Type"], answer["Content-Length"]) == (media_type, str(len(body)))
            assert answer.body == (body if method == "GET" else b"")


def assert_referrers(client: Client, content: Content, subject: str) -> None:
    """Of a manifest, with and without the filter."""
    expected = {}
    for digest, (media_type, manifest) in content.manifests.items():
        document = json.loads(manifest)
        if document.get("subject", {}).get("digest") == subject:
            kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
            told = descriptor(media_type, digest, len(manifest)) | {"artifactType": kind}
            expected[digest] = told | {"annotations": document.get("annotations")}
    path = f"{client.base}/referrers/{subject}"
    found = client.send("GET", path).json()["manifests"]
    assert {one["digest"]: {**one, **nothing(one)} for one in found} == expected
    for kind in {one["artifactType"] for one in expected.values() if one["artifactType"]}:
        filtered = client.send("GET", f"{path}?{urlencode({'artifactType': kind})}")
        assert filtered["OCI-Filters-Applied"] == "artifactType"
        same = [one for one in expected.values() if one["artifactType"] == kind]
        assert [one["digest"] for one in filtered.json()["manifests"]] == sorted(
            one["digest"] for one in same
        )


def nothing(listed: Descriptor) -> Descriptor:
    """What a descriptor may leave out."""
    return {name: listed.get(name) for name in ("artifactType", "annotations")}


def delete(client: Client, content: Content) -> None:
    """Tags, then manifests, the last first, then blobs."""
    for kind, references in (
        ("manifests", list(content.tags)),
        ("manifests", list(content.manifests)[::-1]),
        ("blobs", list(content.blobs)),
    ):
        for reference in references:
            path = f"{client.base}/{kind}/{reference}"
            assert client.send("DELETE", path).status == 202
            assert client.send("HEAD", path).status == 404
        if references == list(content.tags):
            assert (
                client.send("HEAD", f"{client.base}/manifests/{next(iter(content.manifests))}").status == 200
            )
