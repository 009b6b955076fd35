"""Keys, contexts and engines of the images: what can be said without building one."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pytest

from local_cluster import base, engine, images, python_packages
from local_cluster.engine import Buildah, Docker
from local_cluster.errors import PartMissing, SourcesChanged
from local_cluster.parts import Part, Parts


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """A cache in which every program is a small file."""
    monkeypatch.setattr(Part, "key", property(lambda part: f"key-of-{part.name}"))
    parts = Parts(tmp_path)
    for name in images.PROGRAM_IMAGES:
        (tmp_path / "bin" / f"{name}-key-of-{name}").mkdir(parents=True)
        (tmp_path / "bin" / f"{name}-key-of-{name}" / name).write_text("program")
    return parts


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the project's wheel is built from."""
    copy = tmp_path / "project"
    for source in (*python_packages.SOURCES, "images"):
        shutil.copytree(python_packages.PROJECT / source, copy / source)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(python_packages.PROJECT / file, copy / file)
    monkeypatch.setattr(python_packages, "PROJECT", copy)
    return copy


def extracted(tar: tarfile.TarFile, name: str) -> str:
    file = tar.extractfile(name)
    assert file is not None
    return file.read().decode()


class Recorder:
    """An engine that writes down what the context held."""

    def __init__(self) -> None:
        self.contexts: dict[str, list[str]] = {}

    def build(self, context: Path, target: str, _reference: str, archive: Path) -> None:
        self.contexts[target] = sorted(file.name for file in context.iterdir())
        archive.write_text(target)


def test_a_changed_source_changes_the_images_of_python_only(built: Parts, project: Path) -> None:
    """The reference in a pod's spec follows the sources; S3 server and pause stay as they are."""
    before = images.images(built)
    (project / "registry_runtime" / "new.py").write_text("NEW = 1\n")
    after = images.images(built)

    assert after.runtime.reference != before.runtime.reference
    assert after.operator.reference != before.operator.reference
    assert (after.versitygw, after.pause, after.hello) == (before.versitygw, before.pause, before.hello)


def test_bytecode_does_not_change_a_key(built: Parts, project: Path) -> None:
    """Running the tests between two builds builds nothing anew."""
    before = images.images(built)
    (project / "registry_runtime" / "__pycache__").mkdir(exist_ok=True)
    (project / "registry_runtime" / "__pycache__" / "new.cpython-311.pyc").write_bytes(b"\0")

    assert images.images(built) == before


def test_nodes_get_every_image_but_the_one_they_shall_pull(built: Parts) -> None:
    """`hello` comes to a node through the registry or not at all."""
    found = images.images(built)

    assert found.hello.archive not in found.preloaded
    assert {found.pause.archive, found.operator.archive, found.runtime.archive} < set(found.preloaded)


def test_each_target_gets_what_it_copies(built: Parts) -> None:
    """The context holds the Containerfile and what the target names, no clone and no secrets beside it."""
    recorder = Recorder()

    images.build(built, recorder, lambda _line: None, images.PROGRAM_IMAGES)

    assert recorder.contexts == {
        "versitygw": ["Containerfile", "versitygw"],
        "pause": ["Containerfile", "pause"],
        "hello": ["Containerfile", "greeting.txt", "hello"],
    }
    assert images.existing(built, "pause").archive.read_text() == "pause"


def test_an_image_that_is_not_built_says_how(built: Parts) -> None:
    """The remedy stands in the error."""
    with pytest.raises(PartMissing, match=r"image pause: not built .* run `make parts`"):
        images.existing(built, "pause")


def test_sources_that_change_meanwhile_make_no_image(
    built: Parts, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive is never named by other sources than it was made from."""

    def edit_meanwhile(archive: Path) -> None:
        archive.touch()
        (project / "registry_runtime" / "new.py").write_text("NEW = 1\n")

    dependencies = python_packages.dependencies_tar(built.root / "images", "runtime")
    dependencies.parent.mkdir()
    dependencies.touch()
    monkeypatch.setattr(python_packages, "write_project", edit_meanwhile)

    with pytest.raises(SourcesChanged, match="build again"):
        images.build(built, Recorder(), lambda _line: None, ["runtime"])
    assert not list((built.root / "images").glob("runtime-*"))


def test_old_archives_of_an_image_are_forgotten(built: Parts) -> None:
    """The cache does not grow with every edit: the last four of each image stay."""
    folder = built.root / "images"
    folder.mkdir()
    for age in range(6):
        (folder / f"pause-{age}.tar").touch()
    (folder / "operator-0.tar").touch()

    images.build(built, Recorder(), lambda _line: None, ["pause"])

    assert len(list(folder.glob("pause-*.tar"))) == images.KEPT
    assert images.existing(built, "pause").archive.exists()
    assert (folder / "operator-0.tar").exists()


def test_the_wheel_becomes_a_tar_that_is_equal_each_time(project: Path, tmp_path: Path) -> None:
    """Both packages and the distribution's metadata are in it, without times of this machine."""
    assert project.exists()
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    python_packages.write_project(first)
    python_packages.write_project(second)

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = tar.getnames()
    assert {"registry_operator/__init__.py", "registry_runtime/__init__.py"} < set(names)
    assert any(name.endswith(".dist-info/METADATA") for name in names)
    assert not any("__pycache__" in name for name in names)


def test_the_settings_of_openssl_are_where_the_image_looks_for_them(tmp_path: Path) -> None:
    """OpenSSL says nothing where its file is missing, and prefers what it always does."""
    told = re.search(
        r"^ENV OPENSSL_CONF=/opt/roadstead/(\S+)$", images.CONTAINERFILE.read_text(), re.MULTILINE
    )
    assert told
    python_packages.write_project(tmp_path / "project.tar")

    with tarfile.open(tmp_path / "project.tar") as tar:
        assert "Ciphersuites = TLS_AES_128_GCM_SHA256:" in extracted(tar, told[1])


def test_packages_leave_behind_what_no_image_imports(tmp_path: Path) -> None:
    """Of botocore's services those stay that the runtime speaks, and what stands beside them."""
    site = tmp_path / "site"
    for file in (
        "data/s3/2006/service.json",
        "data/ec2/2016/service.json",
        "data/endpoints.json",
        "__pycache__/x.pyc",
    ):
        (site / "botocore" / file).parent.mkdir(parents=True, exist_ok=True)
        (site / "botocore" / file).touch()

    python_packages.pack(site, tmp_path / "out.tar")

    with tarfile.open(tmp_path / "out.tar") as tar:
        files = {member.name for member in tar if member.isfile()}
    assert files == {"botocore/data/s3/2006/service.json", "botocore/data/endpoints.json"}


def test_wheels_are_chosen_for_the_images_python() -> None:
    """Whatever Python runs this, pip is asked for Debian's, down from its glibc, and for wheels only."""
    options = python_packages.target()

    assert {"--python-version=3.11", "--abi=cp311", "--only-binary=:all:"} < set(options)
    assert any(option.startswith("--platform=manylinux_2_36_") for option in options)
    assert not any(option.startswith("--platform=manylinux_2_37_") for option in options)


@pytest.mark.parametrize("extra", images.PYTHON_IMAGES)
def test_images_get_the_versions_that_are_tested(extra: str) -> None:
    """What an image's lock pins, requirements.lock pins as well, at the same version."""

    def pins(lock: Path) -> set[str]:
        return {line.split()[0] for line in lock.read_text().splitlines() if line[:1].isalnum()}

    assert pins(python_packages.lock(extra)) <= pins(python_packages.PROJECT / "requirements.lock")


@pytest.mark.parametrize("extra", images.PYTHON_IMAGES)
def test_locks_name_no_host_and_every_package_has_a_hash(extra: str) -> None:
    """A lock file serves every index, and installs nothing that was not pinned."""
    text = python_packages.lock(extra).read_text()
    requirements = [line for line in text.splitlines() if line[:1].isalnum()]

    assert "://" not in text
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert not any(";" in line for line in requirements)


def test_the_base_leaves_no_trace_of_this_machine() -> None:
    """Proxies and mirrors of apt, its resolver and its name are removed from the root file system."""
    command = base.command(Path("/out.tar"), ['Acquire::http::Proxy "http://user:password@proxy.test";'])

    removed = [word for word in command if word.startswith("--customize-hook=rm")]
    assert any(word.endswith("/etc/apt") for word in removed)
    assert any(word.endswith("/etc/resolv.conf") for word in removed)
    assert command[-2:] == ["bookworm", "/out.tar"]


def test_docker_builds_the_same_target_over_its_own_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine nothing but its two commands differs: the same file, context and archive."""
    ran: list[str] = []
    monkeypatch.setattr(engine, "run", lambda argv, **_words: ran.append(" ".join(argv)))

    Docker().build(Path("/context"), "runtime", "roadstead.local/runtime:1", Path("/out.tar"))

    named = "--target runtime --tag roadstead.local/runtime:1"
    assert ran == [
        f"docker build --file /context/Containerfile --build-arg VERSION=1 {named} /context",
        "docker save --output /out.tar roadstead.local/runtime:1",
    ]


def test_buildah_keeps_to_its_own_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The user's containers and images are never touched: every command names our storage."""
    ran: list[list[str]] = []

    def record(argv: list[str], **_words: object) -> str:
        ran.append(argv)
        return "base is there"

    monkeypatch.setattr(engine, "run", record)

    Buildah(tmp_path, lambda _line: None).build(
        Path("/c"), "pause", "roadstead.local/pause:1", Path("/o.tar")
    )

    assert {tuple(argv[:3]) for argv in ran} == {("buildah", "--root", f"{tmp_path}/containers")}
    assert [argv[5] for argv in ran] == ["rm", "images", "build", "push"]
    assert ran[2][-5:] == ["--target", "pause", "--tag", "roadstead.local/pause:1", "/c"]
