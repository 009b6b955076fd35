"""`python -m tests.conformance SUITE KIND`: OCI's conformance suite against real replicas, strictly read.

SUITE is the built program of https://github.com/opencontainers/distribution-spec, folder `conformance`.
It ends well also where it skipped tests, or could not read its settings: so its results are what counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tests.api.conftest import KINDS
from tests.api.replica import ROBOT, Replica
from tests.conformance.balancer import balanced
from tests.s3_server import s3_server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("suite", type=Path, help="the built conformance program")
    parser.add_argument("kind", choices=[*KINDS, "directory-secure-encrypted"])
    parser.add_argument("--replicas", type=int, default=1, help="each request goes to the next one")
    parser.add_argument("--results", type=Path, default=Path("conformance-results"), metavar="DIRECTORY")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), options.kind, options.replicas) as replicas,
    ):
        with ExitStack() as stack:
            port = (
                stack.enter_context(balanced(replicas)) if len(replicas) > 1 else replicas[0].ports["public"]
            )
            environment = settings(replicas[0], port, options.results.absolute())
            subprocess.run(
                [options.suite.absolute()], env={**os.environ, **environment}, cwd=folder, check=False
            )
        requests = [line for replica in replicas for line in replica.lines("request")]
        broken = [line for line in requests if line["status"] >= 500]
    print(f"{len(requests)} requests at {len(replicas)} replicas, {len(broken)} of them answered with 5xx")
    if broken or not passed(options.results / "results.yaml"):
        sys.exit("it does not conform")


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


def settings(replica: Replica, port: int, results: Path) -> dict[str, str]:
    """Everything that the suite can ask for; `mirror` is a namespace whose images may lack blobs."""
    common = {
        "OCI_VERSION": "dev",
        "OCI_DATA_SPARSE": "true",
        "OCI_REGISTRY": f"127.0.0.1:{port}",
        "OCI_REPO1": "mirror/conformance-1",
        "OCI_REPO2": "mirror/conformance-2",
        "OCI_RESULTS_DIR": str(results),
        "OCI_TLS": "enabled" if replica.secure else "disabled",
    }
    if not replica.secure:
        return common
    account = {"OCI_USERNAME": "anyone", "OCI_PASSWORD": ROBOT.text}
    return {**common, **account, "SSL_CERT_FILE": str(replica.authority.file)}


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
