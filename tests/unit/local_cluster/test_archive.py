"""docker-archives: written, read, and compared with what containerd lists."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from local_cluster.archive import Image, all_listed, images_in, normalised, write
from local_cluster.errors import BadRequest

CONFIG = "sha256:" + "c" * 64
MANIFEST = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64
HEADER = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"


def row(name: str, digest: str) -> str:
    return f"{name} application/vnd.oci.image.manifest.v1+json {digest} 1.0 KiB linux/amd64 -\n"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """The tag, and the id that is the digest of the config in it; the layer holds the file, executable."""
    file = tmp_path / "image.tar"

    write(file, "localhost/a:1", {"bin/a": b"program"}, {"Entrypoint": ["/bin/a"]})

    with tarfile.open(file) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = (tar.extractfile(entry["Config"]) or pytest.fail("no config")).read()
        layer = (tar.extractfile(entry["Layers"][0]) or pytest.fail("no layer")).read()
    assert images_in(file) == [Image(("localhost/a:1",), f"sha256:{hashlib.sha256(config).hexdigest()}")]
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    """Or a cluster that runs would get its sandbox image again at each `up`."""
    for name in ("one", "two"):
        write(tmp_path / name, "localhost/a:1", {"a": b"a", "b": b"b"}, {})

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("manifest", [b"{", b"[{}]", b'[{"Config": "gone.json"}]', b"[1]", b"null"])
def test_a_broken_archive_is_refused_with_its_path(tmp_path: Path, manifest: bytes) -> None:
    """Whatever its manifest.json may hold."""
    (tmp_path / "manifest.json").write_bytes(manifest)
    with tarfile.open(tmp_path / "broken.tar", "w") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")

    with pytest.raises(BadRequest, match=r"broken\.tar: not a docker-archive"):
        images_in(tmp_path / "broken.tar")


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the path."""
    with pytest.raises(BadRequest, match=r"gone\.tar"):
        images_in(tmp_path / "gone.tar")


@pytest.mark.parametrize(
    ("rows", "there"),
    [
        (row("localhost/a:1", MANIFEST) + row(CONFIG, MANIFEST), True),
        (row("localhost/a:1", MANIFEST), False),
        (row(CONFIG, MANIFEST), False),
        (row("localhost/a:1", OTHER) + row(CONFIG, MANIFEST), False),
        ("", False),
    ],
    ids=["both", "no id", "no tag", "tag of another image", "nothing"],
)
def test_an_image_is_there_when_its_tag_names_its_id(rows: str, there: bool) -> None:
    """A tag that still names an older image does not count."""
    assert all_listed([Image(("localhost/a:1",), CONFIG)], HEADER + rows) is there


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("busybox:1", "docker.io/library/busybox:1"),
        ("library/busybox:1", "docker.io/library/busybox:1"),
        ("localhost/a:1", "localhost/a:1"),
        ("host:5000/a:1", "host:5000/a:1"),
        ("roadstead.local/a:1", "roadstead.local/a:1"),
    ],
)
def test_tags_are_compared_under_containerds_names(tag: str, name: str) -> None:
    """Which have a registry in them always."""
    assert normalised(tag) == name
