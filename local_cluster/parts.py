"""The programs that the local cluster consists of, built from pinned sources into a cache.

Each folder of `parts/` pins one part: a go.mod whose `tool` lines name the programs (no source of theirs is
copied here), or a C file. The kubelets' credential provider is a product of this clone, with a folder of its
own. A part is built once for each content of its folder and each set of flags.
Go's own version is not in the key: each go.mod states the least one, a newer Go must not cost anyone another
five minutes, and a built cluster must start where Go is no longer installed.
"""

import platform
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local_cluster.cache import digest_of, make_once
from local_cluster.errors import PartMissing
from local_cluster.process import run

SOURCES = Path(__file__).parent / "parts"
CREDENTIAL_PROVIDER = "roadstead-credential-provider"
KUBERNETES = "1.36.3"
MAJOR, MINOR, _PATCH = KUBERNETES.split(".")
PROGRESS_SECONDS = 10.0
NEEDED = {"go": "Go 1.26.6 or newer (https://go.dev/dl/)", "cc": "a C compiler (apt-get install gcc)"}


@dataclass(frozen=True)
class Part:
    """Programs built together, by `command` with `-o OUTPUT package` added to it.

    `at` is the folder of the sources, where that is not the one of this name in `parts/`. `carried` are
    folders of Go modules that are copied beside the programs: (name, module, path in it).
    """

    name: str
    binaries: tuple[str, ...]
    command: tuple[str, ...]
    package: str
    env: tuple[tuple[str, str], ...] = ()
    at: Path | None = None
    carried: tuple[tuple[str, str, str], ...] = ()

    @property
    def sources(self) -> Path:
        return self.at or SOURCES / self.name

    @property
    def key(self) -> str:
        words = (self.name, *self.binaries, *self.command, self.package, platform.machine(), repr(self.env))
        words += (repr(self.carried),) if self.carried else ()
        files = (file for file in self.sources.rglob("*") if file.is_file())
        return digest_of(words, files, below=self.sources)

    def argv(self, output: Path) -> list[str]:
        """The command that writes the programs into the directory `output`."""
        single = f"{output}/{self.binaries[0]}"
        return [*self.command, "-o", single if len(self.binaries) == 1 else f"{output}/", self.package]


def go(
    name: str,
    *binaries: str,
    package: str = "tool",
    variables: tuple[str, ...] = (),
    tags: str = "",
    static_cgo: bool = False,
    at: Path | None = None,
    carried: tuple[tuple[str, str, str], ...] = (),
) -> Part:
    """A part built by Go: all `tool` packages of its go.mod, or the program in its folder (`package="."`).

    `variables` are set by the linker (`-X`). `static_cgo` is for what needs C libraries, linked statically.
    """
    link = ["-s", "-w", *(f"-X {variable}" for variable in variables)]
    if static_cgo:
        link += ["-linkmode external", '-extldflags "-static"']
    command = ("go", "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-tags", tags)
    env = (("CGO_ENABLED", "1" if static_cgo else "0"), ("GOWORK", "off"))
    return Part(name, binaries or (name,), (*command, "-ldflags", " ".join(link)), package, env, at, carried)


VERSION = "k8s.io/component-base/version"
CLUSTER = (
    go("etcd"),
    go("containerd", "containerd", "containerd-shim-runc-v2", "ctr"),
    # The kubelet asks for the RuntimeDefault profile on every sandbox: without seccomp no pod starts.
    go("runc", tags="seccomp netgo osusergo", static_cgo=True),
    # ptp, not bridge: all traffic of a pod is routed by its node, so kube-proxy and NetworkPolicy see it
    # without the bridge netfilter module on the host.
    go("cni", "ptp", "loopback", "host-local", "portmap"),
    Part("pause", ("pause",), ("cc", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror"), "pause.c"),
    go("coredns", package="."),
    go("versitygw"),
    go("hello", package="."),
    go(CREDENTIAL_PROVIDER, package=".", at=Path(__file__).parent.parent / "credential_provider"),
    go(
        "kubernetes",
        *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
        variables=(
            f"{VERSION}.gitVersion=v{KUBERNETES}",
            f"{VERSION}.gitMajor={MAJOR}",
            f"{VERSION}.gitMinor={MINOR}",
            f"k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
        ),
    ),
)
TESTS = (
    go("crane"),
    go("minio"),
    go("kindconfig", package="."),
    go("promtool", tags="remove_all_sd"),  # without a hundred clouds' SDKs, where targets could be found
    go(
        "certmanager",
        package=".",
        carried=(
            ("cert-manager", "github.com/cert-manager/cert-manager", "deploy/crds"),
            ("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard"),
        ),
    ),
    go("envoygateway", "envoy-gateway"),
    go("dex", tags="netgo osusergo sqlite_omit_load_extension", static_cgo=True),  # brings SQLite, in C
)
# Clients of a registry, as their own projects make them (docs/clients.md).
CLIENTS = (go("regctl"), go("oras"), go("helm"), go("cosign"))
# Minutes of CPU that no test needs: `make bench-changes` and `make bench-fleet` build what they use.
BENCHMARKS = (go("metrics-server"), go("kwok"))
ALL = CLUSTER + TESTS + CLIENTS
EVERY = ALL + BENCHMARKS


@dataclass(frozen=True)
class Parts:
    """Built binaries of the local cluster, in a cache keyed by what they are built from."""

    root: Path

    def binary(self, name: str) -> Path:
        """The file of a program such as `kubelet` or `ptp`. Raises PartMissing."""
        part = next((part for part in EVERY if name in part.binaries), None)
        if part is None:
            raise PartMissing(f"{name}: no part of the local cluster builds a program of this name")
        file = self.folder(part) / name
        if not file.exists():
            raise PartMissing(f"{name}: not built from the sources of this clone yet; run `make parts`")
        return file

    def carried(self, name: str) -> Path:
        """A folder that a part brought along from a module. Raises PartMissing."""
        part = next((part for part in ALL for one in part.carried if one[0] == name), None)
        if part is None or not (self.folder(part) / name).exists():
            raise PartMissing(f"{name}: no part that was built brings it along; run `make parts`")
        return self.folder(part) / name

    def folder(self, part: Part) -> Path:
        return self.root / "bin" / f"{part.name}-{part.key}"


def build(root: Path, report: Callable[[str], None], wanted: Iterable[Part] = CLUSTER) -> Parts:
    """Builds what is not built yet, one part after the other (Go keeps every core busy by itself).

    `report` gets a line when a part begins, goes on and ends.
    Raises CommandFailed with the compiler's last lines.
    """
    parts = Parts(root)
    for part in wanted:
        build_part(parts.folder(part), part, report)
    return parts


def build_part(folder: Path, part: Part, report: Callable[[str], None]) -> None:
    started = time.monotonic()

    def make(output: Path) -> None:
        if shutil.which(part.command[0]) is None:
            raise PartMissing(
                f"{part.name}: building it needs {NEEDED[part.command[0]]}, which is not on PATH"
            )
        report(f"{part.name}: building")
        output.mkdir()
        run(
            part.argv(output),
            cwd=part.sources,
            env=dict(part.env),
            each_line=progress_of(part.name, started, report),
        )
        for name, module, path in part.carried:
            argv = ["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]
            found = Path(run(argv, cwd=part.sources, env=dict(part.env)).splitlines()[-1])
            shutil.copytree(found / path, output / name)
            for made in (output / name, *(output / name).rglob("*")):
                made.chmod(0o755 if made.is_dir() else 0o644)  # a module's are read-only

    made = make_once(folder, make, waiting=lambda: report(f"{part.name}: another process builds it; waiting"))
    report(f"{part.name}: {f'built in {time.monotonic() - started:.0f} s' if made else 'already built'}")


def progress_of(
    name: str,
    started: float,
    report: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[str], None]:
    """Counts what the compiler prints, and reports every ten seconds where it is."""
    lines, reported = 0, started

    def see(line: str) -> None:
        nonlocal lines, reported
        lines += 1
        now = clock()
        if now - reported >= PROGRESS_SECONDS:
            reported = now
            report(f"{name}: {now - started:.0f} s, {lines} steps, now {line[:100]}")

    return see
