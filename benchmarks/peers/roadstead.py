"""Roadstead as it runs in a pod: a process with a configuration file."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import registry_runtime
from benchmarks.peers.ground import SERVICE, SUBJECT, Ground
from benchmarks.peers.server import Server, running, until_up
from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Token
from tests.s3_server import free_port

NAME = "Roadstead"
_CACHE = 4 * 1024**3  # bytes
_ENVIRONMENT = {  # as images/Containerfile sets it
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
    "MALLOC_MMAP_THRESHOLD_": str(8 * 1024**2),
    "OPENSSL_CONF": str(Path(registry_runtime.__file__).with_name("openssl.cnf")),
}


@contextmanager
def roadstead(ground: Ground) -> Iterator[Server]:
    folder = ground.own("roadstead")
    port = free_port()
    cache = folder / "cache"
    (folder / "signing.pem").write_bytes(ground.signing)
    (folder / "policy" / "shard").mkdir(parents=True)
    (folder / "policy" / "shard" / "policy.json").write_bytes(_policy().encode())
    (folder / "config.json").write_text(json.dumps(_configuration(ground, folder, port, cache)))
    argv = [sys.executable, "-m", "registry_runtime", "serve", "--config", str(folder / "config.json")]
    with running(argv, folder / "log", **_ENVIRONMENT) as pid:

        def forget() -> None:
            for file in cache.glob("**/*"):
                if file.is_file():
                    file.unlink()

        server = Server(
            NAME,
            f"{ground.scheme}://127.0.0.1:{port}",
            ground.authorization(),
            ground.authority.file,
            pid,
            forget,
        )
        yield until_up(server, folder / "log")
    shutil.rmtree(folder)


def _configuration(ground: Ground, folder: Path, port: int, cache: Path) -> dict[str, Any]:
    if ground.s3:
        storage = ground.s3.bucket("roadstead").model_dump(mode="json")
    else:
        storage = {"kind": "directory", "path": str(folder / "data")}
    return {
        "registry": SERVICE,
        "owner": "benchmark",
        "hosts": ["127.0.0.1"],
        "storage": storage,
        "listeners": {
            "address": "127.0.0.1", "public": port, "private": None, "internal": None, "probes": None,
        },
        "tls": {"server": str(ground.folder / "tls")} if ground.tls else {},
        "policy": {"directory": str(folder / "policy"), "secrets": ["shard"]},
        "cache": {"path": str(cache), "size": _CACHE} if ground.s3 else None,
        "signing_key": str(folder / "signing.pem"),
    }  # fmt: skip


def _policy() -> Policy:
    grant = Grant(repositories=("team/**",), actions=frozenset(Action))
    token = Token(account="ours", owner="ours", hashes=("0" * 64,), grants=(grant,))
    return Policy(namespaces={"team": Claim(account="ours", owner="ours")}, tokens={SUBJECT: token})
