"""`python -m tests.conformance SUITE KIND`: OCI's conformance suite against real replicas, strictly read.

SUITE is the built program of https://github.com/opencontainers/distribution-spec, folder `conformance`.
It ends well also where it skipped tests, or could not read its settings: so its results are what counts.
With `--url` instead of KIND it is run against a registry that is there already, such as that of a cluster.
"""

from __future__ import annotations

import argparse
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.api.client import Client
from tests.api.conftest import KINDS
from tests.api.replica import ROBOT, Replica
from tests.conformance.balancer import balanced
from tests.s3_server import s3_server


def main() -> None:
    options = parsed()
    results: Path = options.results.absolute()
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        if options.url:
            against_running(options, results, Path(folder))
        else:
            broken = against_own(options, results, Path(folder))
    if broken or not passed(results / "results.yaml"):
        sys.exit("it does not conform")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("suite", type=Path, help="the built conformance program")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("kind", nargs="?", choices=[*KINDS, "directory-secure-encrypted"])
    where.add_argument("--url", type=urlsplit, help="of a registry that runs already")
    parser.add_argument("--replicas", type=int, default=1, help="each request goes to the next one")
    parser.add_argument("--results", type=Path, default=Path("conformance-results"), metavar="DIRECTORY")
    there = parser.add_argument_group("for a registry that runs already")
    there.add_argument("--spread", action="store_true", help="each request on a connection of its own")
    there.add_argument("--user", default="anyone")
    there.add_argument("--password-file", type=Path, metavar="FILE", help="may pull, push and delete")
    there.add_argument("--ca", type=Path, metavar="FILE", help="PEM; else whom the system trusts")
    there.add_argument("--namespace", default="mirror", help="with spec.sparseImages: true")
    options = parser.parse_args()
    if options.url and (options.url.scheme not in {"http", "https"} or not options.url.netloc):
        parser.error("--url: it begins with http:// or https://, and a host follows")
    return options


@dataclass(frozen=True)
class Target:
    """A registry, and what the suite needs to log in. Images of the namespace may lack blobs."""

    registry: str  # host, or host:port
    tls: bool
    namespace: str = "mirror"
    user: str = "anyone"
    password: str = field(default="", repr=False)
    ca: Path | None = None

    def settings(self, results: Path) -> dict[str, str]:
        """Everything that the suite can ask for."""
        account = {"OCI_USERNAME": self.user, "OCI_PASSWORD": self.password} if self.password else {}
        trust = {"SSL_CERT_FILE": str(self.ca)} if self.ca else {}
        return {
            "OCI_VERSION": "dev",
            "OCI_DATA_SPARSE": "true",
            "OCI_REGISTRY": self.registry,
            "OCI_REPO1": f"{self.namespace}/conformance-1",
            "OCI_REPO2": f"{self.namespace}/conformance-2",
            "OCI_RESULTS_DIR": str(results),
            "OCI_TLS": "enabled" if self.tls else "disabled",
            **account,
            **trust,
        }


def run(suite: Path, target: Target, results: Path, folder: Path) -> None:
    subprocess.run([suite], env={**os.environ, **target.settings(results)}, cwd=folder, check=False)


def against_running(options: argparse.Namespace, results: Path, folder: Path) -> None:
    """By its Service, which picks a replica for each connection; with `--spread` that is for each request."""
    tls = options.url.scheme == "https"
    target = Target(
        options.url.netloc,
        tls=tls,
        namespace=options.namespace,
        user=options.user,
        password=options.password_file.read_text().strip() if options.password_file else "",
        ca=options.ca and options.ca.absolute(),
    )
    if not options.spread:
        run(options.suite.absolute(), target, results, folder)
        return
    trust = ssl.create_default_context(cafile=target.ca) if tls else None
    client = Client(options.url.hostname, options.url.port or (443 if tls else 80), trust)
    with balanced([client]) as port:
        run(
            options.suite.absolute(),
            replace(target, registry=f"127.0.0.1:{port}", tls=False),
            results,
            folder,
        )


def against_own(options: argparse.Namespace, results: Path, folder: Path) -> int:
    """How many requests the replicas, started for this, answered with 5xx."""
    with started(folder, options.kind, options.replicas) as replicas, ExitStack() as stack:
        first = replicas[0]
        port = first.ports["public"]
        if len(replicas) > 1:
            certificate = first.directory / "server" if first.secure else None
            port = stack.enter_context(balanced([each.client() for each in replicas], certificate))
        target = Target(f"127.0.0.1:{port}", tls=first.secure)
        if first.secure:
            target = replace(target, password=ROBOT.text, ca=first.authority.file)
        run(options.suite.absolute(), target, results, folder)
        requests = [line for replica in replicas for line in replica.lines("request")]
    broken = len([line for line in requests if line["status"] >= 500])
    print(f"{len(requests)} requests at {options.replicas} replicas, {broken} of them answered with 5xx")
    return broken


@contextmanager
def started(folder: Path, kind: str, count: int) -> Iterator[list[Replica]]:
    """Replicas of one kind on one storage, with the same accounts and keys."""
    secure, encrypted = "secure" in kind, "encrypted" in kind
    with ExitStack() as stack:
        storage: dict[str, Any] = {"kind": "directory", "path": str(folder / "data")}
        if kind.startswith("s3"):
            server = stack.enter_context(s3_server(folder / "s3"))
            storage = server.bucket("conformance", prefix="tenant/").model_dump(mode="json")
        (folder / "0").mkdir()
        first = Replica(folder / "0", storage, secure=secure, encrypted=encrypted)
        first.prepare()
        replicas = [first]
        for number in range(1, count):
            shutil.copytree(first.directory, folder / str(number))
            other = replace(first, directory=folder / str(number), ports={})
            other.authority = first.authority
            replicas.append(other)
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        yield replicas


def passed(results: Path) -> bool:
    """Whether every API and every kind of data passed: none failed, and none was skipped or disabled."""
    if not results.exists():
        return False
    read = yaml.safe_load(results.read_text())
    states = Counter([*read["apis"].values(), *read["data"].values()])
    print(f"{results}: {dict(states)}")
    return set(states) == {"Pass"}


if __name__ == "__main__":
    main()
