"""Real clients over TLS, logged in with a token: skopeo, buildah and crane push, pull, list and delete."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cluster.parts import Parts
from tests.api.client import CONFIG, LAYER, OCI_IMAGE, OCI_INDEX, descriptor, digest_of
from tests.api.replica import ROBOT, STRANGER, Replica

needs_debian = pytest.mark.skipif(
    not (shutil.which("skopeo") and shutil.which("buildah")), reason="skopeo and buildah are not installed"
)


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    directory = tmp_path_factory.mktemp("clients")
    with Replica(directory, {"kind": "directory", "path": str(directory / "data")}, secure=True) as running:
        trusted = directory / "trusted"
        trusted.mkdir()
        shutil.copy(running.authority.file, trusted)
        yield running


@pytest.fixture
def name(replica: Replica) -> str:
    return f"127.0.0.1:{replica.ports['public']}/team/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI layout with an image of two layers, one of them 20 MiB."""
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> str:
        digest = digest_of(content)
        (blobs / digest.partition(":")[2]).write_bytes(content)
        return digest

    tars = [_tar("hello", b"hello\n"), _tar("large", bytes(range(256)) * 80 * 1024)]
    layers = [gzip.compress(tar, compresslevel=0, mtime=0) for tar in tars]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": descriptor(CONFIG, put(config), len(config)),
            "layers": [descriptor(LAYER, put(layer), len(layer)) for layer in layers],
        }
    ).encode()
    top = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            descriptor(OCI_IMAGE, put(manifest), len(manifest))
            | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}
        ],
    }
    (tmp_path / "layout" / "index.json").write_text(json.dumps(top))
    (tmp_path / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return tmp_path / "layout"


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def skopeo(*arguments: str, fails: bool = False) -> str:
    ended = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode != 0) is fails, ended.stderr
    return ended.stderr if fails else ended.stdout


def access(replica: Replica, side: str = "", password: str = ROBOT.text) -> list[str]:
    """Options of skopeo: whom to trust, and who is asking."""
    prefix = f"--{side}-" if side else "--"
    return [f"{prefix}cert-dir={replica.directory / 'trusted'}", f"{prefix}creds=anyone:{password}"]


@needs_debian
def test_skopeo(replica: Replica, name: str, layout: Path, tmp_path: Path) -> None:
    """Push, inspect, list, copy inside the registry (mounts), pull, delete."""
    skopeo("copy", *access(replica, "dest"), f"oci:{layout}:v1", f"docker://{name}:v1")
    shown = json.loads(skopeo("inspect", *access(replica), f"docker://{name}:v1"))
    assert len(shown["Layers"]) == 2
    assert json.loads(skopeo("list-tags", *access(replica), f"docker://{name}"))["Tags"] == ["v1"]

    both = [*access(replica, "src"), *access(replica, "dest")]
    skopeo("copy", *both, f"docker://{name}:v1", f"docker://{name}-copy:v2")
    skopeo("copy", *access(replica, "src"), f"docker://{name}-copy:v2", f"oci:{tmp_path / 'back'}:v1")
    for digest in shown["Layers"]:
        blob = Path("blobs") / digest.replace(":", "/")
        assert (tmp_path / "back" / blob).read_bytes() == (layout / blob).read_bytes()

    skopeo("delete", *access(replica), f"docker://{name}:v1")
    assert (
        "manifest unknown" in skopeo("inspect", *access(replica), f"docker://{name}:v1", fails=True).lower()
    )


@needs_debian
def test_skopeo_as_somebody_else(replica: Replica, name: str, layout: Path) -> None:
    """Another account's token is told that it may not, a wrong one that it is wrong."""
    skopeo("copy", *access(replica, "dest"), f"oci:{layout}:v1", f"docker://{name}:v1")
    foreign = access(replica, "", STRANGER.text)
    assert "denied" in skopeo("inspect", *foreign, f"docker://{name}:v1", fails=True).lower()
    wrong = access(replica, "", "hunter2")
    assert "unauthorized" in skopeo("inspect", *wrong, f"docker://{name}:v1", fails=True).lower()


@needs_debian
def test_skopeo_logs_in(replica: Replica, name: str, tmp_path: Path) -> None:
    """`login` succeeds with the password, and with nothing else."""
    host = name.partition("/")[0]
    file = f"--authfile={tmp_path / 'auth.json'}"
    trusted = f"--cert-dir={replica.directory / 'trusted'}"
    for password, fails in ((ROBOT.text, False), ("hunter2", True)):
        skopeo("login", file, trusted, "--username=iamapikey", f"--password={password}", host, fails=fails)


@needs_debian
def test_buildah(replica: Replica, name: str, tmp_path: Path) -> None:
    """An image built from scratch is pushed, removed, and pulled back."""
    storage = [
        f"--root={tmp_path / 'root'}",
        f"--runroot={tmp_path / 'run'}",
        "--storage-driver=vfs",
    ]

    def buildah(*arguments: str) -> str:
        ended = subprocess.run(
            ["buildah", *storage, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    (tmp_path / "file").write_bytes(b"built here\n")
    container = buildah("from", "scratch")
    buildah("copy", container, str(tmp_path / "file"), "/file")
    image = buildah("commit", "--format=oci", container, "built")
    buildah("push", *access(replica), "built", f"docker://{name}:built")
    buildah("rm", container)
    buildah("rmi", "--all", "--force")
    assert buildah("pull", *access(replica), f"docker://{name}:built").splitlines()[-1] == image


def test_crane(replica: Replica, name: str, layout: Path, tmp_path: Path) -> None:
    """Logged in by its configuration file: push, list, copy (mounts), pull, delete; without it, nothing."""
    program = Parts(Path(os.environ.get("ROADSTEAD_CACHE", "~/.cache/roadstead")).expanduser()).binary(
        "crane"
    )

    def crane(*arguments: str, home: str = "robot", fails: bool = False) -> str:
        ended = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"DOCKER_CONFIG": str(tmp_path / home), "SSL_CERT_FILE": str(replica.authority.file)},
        )
        assert (ended.returncode != 0) is fails, ended.stderr
        return ended.stderr if fails else ended.stdout.strip()

    host, _, repository = name.partition("/")
    crane("auth", "login", host, "--username=iamapikey", f"--password={ROBOT.text}")
    assert host in json.loads((tmp_path / "robot" / "config.json").read_text())["auths"]

    assert "UNAUTHORIZED" in crane("push", str(layout), f"{name}:v1", home="nobody", fails=True)
    pushed = crane("push", str(layout), f"{name}:v1").partition("@")[2]
    assert crane("digest", f"{name}:v1") == pushed
    assert crane("ls", name) == "v1"
    assert repository in crane("catalog", host).splitlines()

    crane("copy", f"{name}:v1", f"{name}-copy:v2")
    crane("pull", "--format=oci", f"{name}-copy:v2", str(tmp_path / "back"))
    for blob in (layout / "blobs" / "sha256").iterdir():
        assert (tmp_path / "back" / "blobs" / "sha256" / blob.name).read_bytes() == blob.read_bytes()
    assert "UNAUTHORIZED" in crane("manifest", f"{name}-copy:v2", home="nobody", fails=True)

    crane("delete", f"{name}:v1")
    assert "MANIFEST_UNKNOWN" in crane("manifest", f"{name}:v1", fails=True)
    assert crane("digest", f"{name}-copy:v2") == pushed
