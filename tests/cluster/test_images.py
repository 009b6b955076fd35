"""The images as they are built: what they say of themselves, and that they run as a pod would run them."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local_cluster.build import cache_root, everything
from local_cluster.images import PYTHON_IMAGES, Image, Images

pytestmark = pytest.mark.cluster

UID = 65532


@pytest.fixture(scope="module")
def images() -> Images:
    return everything(cache_root(), print)[1]


@dataclass(frozen=True)
class Unpacked:
    """An image's root file system."""

    root: Path
    environment: dict[str, str]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """As a restricted pod: another root, the image's user and environment, nothing of ours."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        user = ["chroot", f"--userspec={UID}:{UID}", str(self.root)]
        return subprocess.run(
            [*user, "/usr/bin/env", "-i", *settings, *argv], capture_output=True, text=True, check=False
        )


def inspect(image: Image) -> dict[str, Any]:
    shown = subprocess.run(
        ["skopeo", "--insecure-policy", "inspect", "--config", f"docker-archive:{image.archive}"],
        capture_output=True,
        check=True,
    )
    config: dict[str, Any] = json.loads(shown.stdout)
    return config


@pytest.fixture(scope="module")
def unpack(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Unpacked]:
    @cache
    def unpacked(name: str) -> Unpacked:
        image: Image = getattr(images, name)
        root = tmp_path_factory.mktemp(name)
        root.chmod(0o755)  # pytest's folders are closed to others, and the image's user is one
        root.parent.chmod(0o755)
        with tarfile.open(image.archive) as archive:
            manifest = json.load(extracted(archive, "manifest.json"))
            for layer in manifest[0]["Layers"]:
                with tarfile.open(fileobj=extracted(archive, layer)) as files:
                    files.extraction_filter = getattr(tarfile, "tar_filter", None)  # CPython < 3.11.4: none
                    files.extractall(root)  # noqa: S202 - of an image of ours
        environment = dict(setting.split("=", 1) for setting in inspect(image)["config"]["Env"])
        return Unpacked(root, environment)

    return unpacked


def extracted(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return file


@pytest.mark.parametrize("name", PYTHON_IMAGES)
def test_an_image_says_what_it_runs_and_as_whom(images: Images, name: str) -> None:
    """Not root, one entry point, labels for those who find it in a registry."""
    image: Image = getattr(images, name)
    config = inspect(image)["config"]

    assert config["User"] == f"{UID}:{UID}"
    assert config["Entrypoint"] == ["python3", "-m", f"registry_{name}"]
    assert "Cmd" not in config
    assert config["Labels"]["org.opencontainers.image.title"] == f"Roadstead {name}"
    assert config["Labels"]["org.opencontainers.image.version"] == image.reference.rpartition(":")[2]


def test_the_runtime_starts_in_its_image(unpack: Callable[[str], Unpacked]) -> None:
    """`--help` imports the program with the image's own Python and packages, as the user of the pod."""
    ended = unpack("runtime").run("python3", "-W", "error", "-m", "registry_runtime", "--help")

    assert ended.returncode == 0, ended.stderr
    assert "serve" in ended.stdout


def test_the_runtime_speaks_s3_in_its_image(unpack: Callable[[str], Unpacked]) -> None:
    """Of boto3 everything is there that S3 and its credentials need, though most of its data is left out."""
    program = "import boto3; [boto3.client(name, region_name='eu-central-1') for name in ('s3', 'sts')]"

    ended = unpack("runtime").run("python3", "-c", program)

    assert ended.returncode == 0, ended.stderr


def test_the_runtime_prefers_the_cheaper_cipher_in_its_image(unpack: Callable[[str], Unpacked]) -> None:
    """The pod's user reads the settings that the image names; without them OpenSSL prefers another."""
    program = "import ssl; print(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).get_ciphers()[0]['name'])"

    ended = unpack("runtime").run("python3", "-c", program)

    assert ended.stdout.strip() == "TLS_AES_128_GCM_SHA256", ended.stderr


def test_the_operator_starts_in_its_image(unpack: Callable[[str], Unpacked]) -> None:
    """All of it is imported, and it asks for the first setting that a Deployment would give it."""
    ended = unpack("operator").run("python3", "-W", "error", "-m", "registry_operator")

    assert ended.returncode == 1
    assert "RUNTIME_IMAGE must name the image" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


KEYS = {f"id_{kind}{end}" for kind in ("rsa", "ecdsa", "ed25519", "dsa") for end in ("", ".pub")}


@pytest.mark.parametrize("name", PYTHON_IMAGES)
def test_bytecode_is_there_and_used(unpack: Callable[[str], Unpacked], name: str) -> None:
    """On a read-only root nothing can be compiled: every module comes with code that is used unchecked."""
    root = unpack(name).root / "opt" / "roadstead"
    sources = [file for file in root.rglob("*.py") if file.parent.name != "bin"]
    compiled = set(root.rglob("*.pyc"))

    assert len(compiled) >= len(sources) * 0.99  # a few packages ship files for other Pythons
    assert all(file.read_bytes()[4:8] == b"\x01\0\0\0" for file in compiled)  # PEP 552: unchecked hash


@pytest.mark.parametrize("name", PYTHON_IMAGES)
def test_nothing_of_the_builder_is_inside(unpack: Callable[[str], Unpacked], name: str) -> None:
    """No package manager's settings, no resolver, no keys; and no set-uid program to become root by."""
    root = unpack(name).root
    paths = [path for path in root.rglob("*") if not path.is_symlink()]

    assert not (root / "etc" / "apt").exists()
    assert not [path for path in paths if path.name in {"pip.conf", ".netrc", ".pypirc", "auth.json"}]
    assert not [path for path in paths if path.suffix == ".key" or path.name in KEYS]
    for name_of_file in ("hostname", "resolv.conf"):  # buildah leaves them, empty
        file = root / "etc" / name_of_file
        assert not file.exists() or not file.read_text()
    assert not [
        path for path in paths if path.is_file() and path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    ]


def test_the_application_has_layers_of_its_own(images: Images) -> None:
    """What the quickstart pushes has two layers that no node holds already, and a few megabytes."""
    hello, others = inspect(images.hello), [inspect(images.operator), inspect(images.versitygw)]
    layers = set(hello["rootfs"]["diff_ids"])

    assert len(layers) == 2
    assert all(layers.isdisjoint(other["rootfs"]["diff_ids"]) for other in others)
    assert 2**20 < images.hello.archive.stat().st_size < 20 * 2**20


def test_images_share_the_base(images: Images) -> None:
    """Operator, runtime and S3 server have one first layer, which a node stores once."""
    first = {
        inspect(image)["rootfs"]["diff_ids"][0]
        for image in (images.operator, images.runtime, images.versitygw)
    }

    assert len(first) == 1


def test_pause_and_hello_need_no_file_of_a_distribution(unpack: Callable[[str], Unpacked]) -> None:
    """Both are programs alone: linked statically, executable for every user."""
    for name in ("pause", "hello"):
        program = unpack(name).root / name
        assert program.stat().st_mode & stat.S_IXOTH
        assert b"ld-linux" not in program.read_bytes()[:4096]
