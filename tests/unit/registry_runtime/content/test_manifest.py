"""Manifests: what they name, and every way in which one is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    IMAGES,
    INDEXES,
    MAX_DEPTH,
    MAX_DESCRIPTORS,
    MAX_MEMBERS,
    OCI_IMAGE,
    OCI_INDEX,
    Manifest,
    parse,
)
from registry_runtime.errors import ManifestInvalid

DIGEST = str(Digest.of(b"x"))
ONE: dict[str, Any] = {"mediaType": "a/b", "digest": DIGEST, "size": 1}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": ONE, "layers": [ONE]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ONE]}


def read(document: dict[str, Any], media_type: str = OCI_IMAGE) -> Manifest:
    return parse(media_type, json.dumps(document).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "subject",
    "artifactType",
    "annotations",
]
DESCRIBED = ["mediaType", "digest", "size", "urls", "annotations", "platform", "artifactType"]


@given(st.sampled_from([*IMAGES, *INDEXES, "text/plain"]), st.binary())
def test_any_bytes_are_a_manifest_or_invalid(media_type: str, content: bytes) -> None:
    """No other error, whatever comes."""
    with pytest.raises(ManifestInvalid):
        parse(media_type, content)


@given(
    st.sampled_from([(IMAGE, OCI_IMAGE), (INDEX, OCI_INDEX)]),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3),
    st.dictionaries(st.sampled_from(DESCRIBED), JSON, max_size=2),
)
def test_any_document_is_a_manifest_or_invalid(
    base: tuple[dict[str, Any], str], fields: dict[str, Any], described: dict[str, Any]
) -> None:
    """A good manifest with fields of any value: no other error, and what is read can be written."""
    document, media_type = base
    try:
        manifest = read({**document, "subject": {**ONE, **described}, **fields}, media_type)
    except ManifestInvalid:
        return
    content = json.dumps(manifest.descriptor(b"").to_json())
    assert Descriptor.from_json(json.loads(content), "again") == manifest.descriptor(b"")


def test_an_image_names_its_config_and_layers() -> None:
    """The config first, the subject apart, the artifact type that of the config where none is said."""
    manifest = read({**IMAGE, "subject": ONE, "annotations": {"k": "v"}})
    assert [blob.size for blob in manifest.blobs] == [1, 1]
    assert manifest.manifests == ()
    assert manifest.subject == Descriptor("a/b", Digest.of(b"x"), 1)
    assert manifest.artifact_type == "a/b"
    assert read({**IMAGE, "artifactType": "c/d"}).artifact_type == "c/d"
    described = manifest.descriptor(b"content")
    assert (described.size, described.annotations) == (7, {"k": "v"})


def test_an_index_names_its_manifests() -> None:
    """Platforms and artifact types of the children are kept."""
    child = {**ONE, "platform": {"os": "linux", "architecture": "arm64"}, "artifactType": "c/d"}
    manifest = read({**INDEX, "manifests": [child]}, OCI_INDEX)
    assert manifest.blobs == ()
    assert manifest.artifact_type is None
    assert manifest.manifests[0].to_json() == child


@pytest.mark.parametrize("missing", [None, []])
def test_no_layers_may_be_written_in_three_ways(missing: object) -> None:
    """Empty, null as Go's encoder does, or left out."""
    assert len(read({**IMAGE, "layers": missing}).blobs) == 1
    assert read({**INDEX, "manifests": missing}, OCI_INDEX).manifests == ()
    assert len(read({key: value for key, value in IMAGE.items() if key != "layers"}).blobs) == 1


def test_an_oci_document_may_leave_its_media_type_out() -> None:
    """Docker's may not: its two kinds are told apart by it."""
    assert read({key: value for key, value in IMAGE.items() if key != "mediaType"})
    for media_type in (DOCKER_IMAGE, DOCKER_LIST):
        with pytest.raises(ManifestInvalid, match="mediaType is missing"):
            read({"schemaVersion": 2, "config": ONE}, media_type)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({**IMAGE, "schemaVersion": 1}, "schemaVersion"),
        ({**IMAGE, "schemaVersion": True}, "schemaVersion"),
        ({**IMAGE, "schemaVersion": "2"}, "schemaVersion"),
        ({**IMAGE, "mediaType": OCI_INDEX}, "mediaType is another"),
        ({**IMAGE, "mediaType": ""}, "mediaType"),
        ({**IMAGE, "manifests": []}, "manifests has no place"),
        ({**IMAGE, "config": None}, "config must be"),
        ({**IMAGE, "layers": {}}, "layers must be"),
        ({**IMAGE, "layers": [ONE, 5]}, r"layers\[1\] must be"),
        ({**IMAGE, "layers": [{**ONE, "size": -1}]}, r"layers\[0\].size"),
        ({**IMAGE, "layers": [{**ONE, "size": 1.5}]}, r"layers\[0\].size"),
        ({**IMAGE, "layers": [{**ONE, "size": True}]}, r"layers\[0\].size"),
        ({**IMAGE, "layers": [{**ONE, "size": 2**63}]}, r"layers\[0\].size"),
        ({**IMAGE, "layers": [{**ONE, "digest": "sha256:1"}]}, r"layers\[0\].digest"),
        ({**IMAGE, "layers": [{**ONE, "urls": "https://x"}]}, r"layers\[0\].urls"),
        ({**IMAGE, "subject": {}}, "subject.size"),
        ({**IMAGE, "annotations": {"k": 1}}, "annotations"),
        ({**IMAGE, "annotations": {"k": "\ud800"}}, "no JSON document"),
        ({**IMAGE, "layers": [ONE] * (MAX_DESCRIPTORS + 1)}, "more than"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], sentence: str) -> None:
    """The field stands in the sentence."""
    with pytest.raises(ManifestInvalid, match=sentence):
        read(document)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no JSON"),
        (b"[]", "JSON object"),
        (b"\xff\xfe", "no JSON"),
        (b"\xef\xbb\xbf{}", "no JSON"),
        (b'{"schemaVersion": NaN}', "no JSON"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 2}}', "twice"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b'{"schemaVersion": ' + b"9" * 10_000 + b"}", "no JSON"),
    ],
    ids=range(10),
)
def test_json_is_read_strictly(content: bytes, sentence: str) -> None:
    """What two readers could read in two ways, or one could not survive, is refused."""
    with pytest.raises(ManifestInvalid, match=sentence):
        parse(OCI_IMAGE, content)


def test_an_index_is_no_image_and_the_other_way_round() -> None:
    """CVE-2021-41190: a document that could be taken for both is neither."""
    for field in ("config", "layers"):
        with pytest.raises(ManifestInvalid, match="no place"):
            read({**INDEX, field: ONE}, OCI_INDEX)
    with pytest.raises(ManifestInvalid, match="media type must be"):
        read(IMAGE, "application/vnd.docker.distribution.manifest.v1+prettyjws")


def test_foreign_layers_are_known() -> None:
    """By their type or by their URLs; no others."""
    digest = Digest.of(b"x")
    assert Descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", digest, 1).foreign
    assert Descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", digest, 1).foreign
    assert Descriptor("a/b", digest, 1, urls=("https://example.com",)).foreign
    assert not Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, 1).foreign


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_what_is_nested_is_read_from_any_place_or_from_none(opened: str, closed: str) -> None:
    """Python's own limit depends on who calls: what a push took a deletion could not read."""

    def nested(levels: int) -> bytes:
        return json.dumps(INDEX).replace("}", f', "x": {opened * levels}1{closed * levels}}}', 1).encode()

    def deeper(levels: int) -> Manifest:
        return parse(OCI_INDEX, nested(MAX_DEPTH - 3)) if not levels else deeper(levels - 1)

    assert deeper(500) == parse(OCI_INDEX, nested(1))
    for levels in (MAX_DEPTH, 10 * MAX_DEPTH):
        with pytest.raises(ManifestInvalid, match="too deeply"):
            parse(OCI_INDEX, nested(levels))


@pytest.mark.parametrize("text", ["[" * 100, "{" * 100, '\\\\"' * 100 + "[", '\\"' * 100])
def test_brackets_in_texts_are_no_nesting(text: str) -> None:
    """Escaped quotes and backslashes end no text."""
    document = json.dumps({**INDEX, "annotations": {"x": text}}).encode()
    many = document.replace(b'"annotations"', b'"y": [' + b"[]," * MAX_DEPTH + b'[]], "annotations"')
    assert parse(OCI_INDEX, many).annotations == {"x": text}


def test_a_document_of_too_many_members_is_not_parsed() -> None:
    """A parsed member takes ten times its bytes, and the time of everybody else."""
    many = ",".join(f'"{number:x}":""' for number in range(MAX_MEMBERS + 1))
    with pytest.raises(ManifestInvalid, match="members"):
        parse(OCI_INDEX, json.dumps(INDEX).replace("}", f', "annotations": {{{many}}}}}', 1).encode())
