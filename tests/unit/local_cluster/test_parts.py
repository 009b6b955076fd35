"""The programs that the local cluster consists of."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from local_cluster import parts
from local_cluster.errors import CommandFailed, PartMissing
from local_cluster.parts import ALL, CLUSTER, Part, Parts, build, go

PAUSE = next(part for part in ALL if part.name == "pause")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the parts' folders, to be spoiled."""
    copy = tmp_path / "parts"
    shutil.copytree(parts.SOURCES, copy)
    monkeypatch.setattr(parts, "SOURCES", copy)
    return copy


def test_every_program_of_the_cluster_has_a_part() -> None:
    """What the machines start is built here, and no two parts build the same name."""
    names = [binary for part in CLUSTER for binary in part.binaries]

    assert len(names) == len(set(names))
    assert {"kube-apiserver", "kubelet", "kube-proxy", "etcd", "containerd", "runc", "coredns"} < set(names)


def test_go_parts_are_pinned() -> None:
    """Every Go part has sums for what it downloads, unless it downloads nothing."""
    for part in ALL:
        module = part.sources / "go.mod"
        if module.exists() and "require" in module.read_text():
            assert (part.sources / "go.sum").exists(), part.name


def test_the_key_follows_sources_and_flags(sources: Path) -> None:
    """A changed file, a changed flag and a changed environment each make another part."""
    keys = {
        PAUSE.key,
        replace(PAUSE, command=("cc", "-O0")).key,
        replace(PAUSE, env=(("CC", "clang"),)).key,
    }
    (sources / "pause" / "pause.c").write_text("int main(void) { return 0; }\n")

    assert len({*keys, PAUSE.key}) == 4


def test_go_links_statically_or_without_c() -> None:
    """runc is linked statically with libseccomp, dex with SQLite; everything else needs no C library."""
    runc = next(part for part in ALL if part.name == "runc")

    assert dict(runc.env)["CGO_ENABLED"] == "1"
    assert '-extldflags "-static"' in " ".join(runc.command)
    assert dict(go("etcd").env)["CGO_ENABLED"] == "0"


def test_a_part_is_built_once_and_runs(tmp_path: Path) -> None:
    """The compiler's product is an executable in the cache; the second build does nothing."""
    said: list[str] = []

    built = build(tmp_path, said.append, [PAUSE])
    assert os.access(built.binary("pause"), os.X_OK)
    build(tmp_path, said.append, [PAUSE])

    assert [line.split(" in ")[0] for line in said] == [
        "pause: building",
        "pause: built",
        "pause: already built",
    ]


def test_a_build_that_fails_shows_the_compilers_words(tmp_path: Path, sources: Path) -> None:
    """The error ends with what the compiler said, and nothing half built is found."""
    (sources / "pause" / "pause.c").write_text("int main(void) { return nonsense; }\n")

    with pytest.raises(CommandFailed, match="nonsense"):
        build(tmp_path, lambda _line: None, [PAUSE])
    with pytest.raises(PartMissing):
        Parts(tmp_path).binary("pause")


def test_a_machine_without_go_is_told_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go is what the project cannot install; the sentence says which version, and where to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        PartMissing, match=r"etcd: building it needs Go 1\.26\.6 or newer \(https://go\.dev/dl/\)"
    ):
        build(tmp_path, lambda _line: None, CLUSTER[:1])


def test_a_missing_part_says_how_to_build_it(tmp_path: Path) -> None:
    """The remedy stands in the error; a name that nothing builds is another error."""
    with pytest.raises(PartMissing, match=r"kubelet: not built .* run `make parts`"):
        Parts(tmp_path).binary("kubelet")
    with pytest.raises(PartMissing, match="no part of the local cluster builds"):
        Parts(tmp_path).binary("dockerd")


def test_progress_is_told_now_and_then() -> None:
    """A long build says every ten seconds where it is, and not for every line of the compiler."""
    clock = iter([1.0, 9.0, 10.5, 11.0, 21.0])
    said: list[str] = []

    see = parts.progress_of("kubernetes", 0.0, said.append, clock=lambda: next(clock))
    for number in range(5):
        see(f"k8s.io/package{number}")

    assert said == [
        "kubernetes: 10 s, 3 steps, now k8s.io/package2",
        "kubernetes: 21 s, 5 steps, now k8s.io/package4",
    ]


def test_a_single_program_gets_its_own_name() -> None:
    """etcd's package is called `server`, so one program alone names its output; several name their folder."""
    etcd = next(part for part in ALL if part.name == "etcd")
    cni = next(part for part in ALL if part.name == "cni")

    assert etcd.argv(Path("/out"))[-3:] == ["-o", "/out/etcd", "tool"]
    assert cni.argv(Path("/out"))[-3:] == ["-o", "/out/", "tool"]
    assert isinstance(etcd, Part)
