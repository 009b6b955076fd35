"""Referrers: what names a manifest as its subject."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.client import OCI_IMAGE, OCI_INDEX, Answer, Client, descriptor, digest_of

EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature+json"
MISSING = digest_of(b"never pushed")


def attach(client: Client, subject: str, **more: Any) -> tuple[str, Answer]:
    config = descriptor(EMPTY, client.push_blob(b"{}"), 2)
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": config,
            "layers": [config],
            "subject": descriptor(OCI_IMAGE, subject, 123),
            **more,
        }
    ).encode()
    return digest_of(content), client.put_manifest(digest_of(content), content)


def referrers(client: Client, digest: str, **query: str | int) -> Answer:
    answer = client.send("GET", f"{client.base}/referrers/{digest}?{urlencode(query)}")
    assert answer.status == 200
    assert answer["Content-Type"] == OCI_INDEX
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    return answer


def digests(answer: Answer) -> set[str]:
    return {item["digest"] for item in answer.json()["manifests"]}


def test_nothing_refers(client: Client) -> None:
    """An empty index, for a repository that never was and for a manifest without referrers."""
    assert referrers(client, MISSING).json()["manifests"] == []
    digest, _ = client.push_image()
    assert referrers(client, digest).json()["manifests"] == []


def test_what_refers_is_listed(client: Client) -> None:
    """With its type, size, annotations and artifact type; the push is told that its subject was seen."""
    subject, _ = client.push_image()
    digest, pushed = attach(client, subject, artifactType=SBOM, annotations={"made": "by a test"})
    assert (pushed.status, pushed["OCI-Subject"]) == (201, subject)
    size = int(client.send("HEAD", pushed.location)["Content-Length"] or 0)
    assert referrers(client, subject).json()["manifests"] == [
        {
            "mediaType": OCI_IMAGE,
            "digest": digest,
            "size": size,
            "annotations": {"made": "by a test"},
            "artifactType": SBOM,
        }
    ]


def test_without_an_artifact_type_the_config_tells(client: Client) -> None:
    """An image's artifact type is its config's media type; an index has none."""
    subject, _ = client.push_image()
    attach(client, subject)
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [],
            "subject": descriptor(OCI_IMAGE, subject, 123),
        }
    ).encode()
    assert client.put_manifest("index", content, OCI_INDEX)["OCI-Subject"] == subject
    found = {
        item["mediaType"]: item.get("artifactType") for item in referrers(client, subject).json()["manifests"]
    }
    assert found == {OCI_IMAGE: EMPTY, OCI_INDEX: None}


def test_a_subject_may_come_later(client: Client) -> None:
    """An attachment is accepted before what it is attached to."""
    digest, pushed = attach(client, MISSING)
    assert (pushed.status, pushed["OCI-Subject"]) == (201, MISSING)
    assert digests(referrers(client, MISSING)) == {digest}


def test_the_filter(client: Client) -> None:
    """Only the artifact type that was asked for, and the header says that it was applied."""
    subject, _ = client.push_image()
    sbom, _ = attach(client, subject, artifactType=SBOM)
    signature, _ = attach(client, subject, artifactType=SIGNATURE)
    everything = referrers(client, subject)
    assert (digests(everything), everything["OCI-Filters-Applied"]) == ({sbom, signature}, None)
    for artifact_type, expected in [(SBOM, {sbom}), (SIGNATURE, {signature}), ("none/such", set())]:
        filtered = referrers(client, subject, artifactType=artifact_type)
        assert (digests(filtered), filtered["OCI-Filters-Applied"]) == (expected, "artifactType")


def test_pages(client: Client) -> None:
    """A Link leads from page to page, the filter with it, until all were seen once."""
    subject, _ = client.push_image()
    expected = {attach(client, subject, artifactType=SBOM, annotations={"n": str(n)})[0] for n in range(5)}
    attach(client, subject, artifactType=SIGNATURE)
    path = f"{client.base}/referrers/{subject}?{urlencode({'n': 2, 'artifactType': SBOM})}"
    seen: list[str] = []
    while path:
        answer = client.send("GET", path)
        seen += digests(answer)
        link = answer["Link"]
        path = link[1 : link.index(">")] if link else ""
    assert sorted(seen) == sorted(expected)


def test_a_page_is_no_longer_than_memory_allows(client: Client) -> None:
    """Whoever may push one repository decides how long descriptors are, not how much a replica holds."""
    subject, _ = client.push_image()
    expected = {attach(client, subject, annotations={"n": str(n) * (3 << 20)})[0] for n in range(3)}
    path = f"{client.base}/referrers/{subject}"
    pages: list[set[str]] = []
    while path:
        answer = client.send("GET", path)
        assert len(answer.body) < 4 << 20
        pages.append(digests(answer))
        link = answer["Link"]
        path = link[1 : link.index(">")] if link else ""
    assert [len(page) for page in pages] == [1, 1, 1]
    assert set().union(*pages) == expected


def test_a_deleted_attachment_is_not_listed(client: Client) -> None:
    """Deleting it takes it out of the list at once; deleting the subject keeps the rest readable."""
    subject, _ = client.push_image()
    gone, _ = attach(client, subject, artifactType=SBOM)
    stays, _ = attach(client, subject, artifactType=SIGNATURE)
    client.send("DELETE", f"{client.base}/manifests/{gone}")
    assert digests(referrers(client, subject)) == {stays}


@pytest.mark.parametrize("digest", ["sha256:short", "latest", "sha256:" + "G" * 64])
def test_digests_that_are_none(client: Client, digest: str) -> None:
    """400, as the specification wants."""
    answer = client.send("GET", f"{client.base}/referrers/{digest}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
