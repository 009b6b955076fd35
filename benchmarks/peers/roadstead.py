"""Roadstead as it runs in a pod: a process with a configuration file."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import registry_runtime
from benchmarks.peers.ground import SERVICE, SUBJECT, Ground
from benchmarks.peers.server import Server, running, until_up
from registry_runtime.contract.policy import Action, Claim, Grant, KeyUse, Policy, Token
from tests.s3_server import free_port

NAME = "Roadstead"
ENCRYPTED = "Encrypted"  # the same, with a tenant's key
_CACHE = 4 * 1024**3  # bytes
_KEY = "k1"
_ENVIRONMENT = {  # as images/Containerfile sets it
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
    "MALLOC_MMAP_THRESHOLD_": str(8 * 1024**2),
    "OPENSSL_CONF": str(Path(registry_runtime.__file__).with_name("openssl.cnf")),
}


@contextmanager
def roadstead(ground: Ground, name: str = NAME) -> Iterator[Server]:
    folder = ground.own(name.lower())
    port = free_port()
    (folder / "signing.pem").write_bytes(ground.signing)
    (folder / "policy" / "shard").mkdir(parents=True)
    (folder / "policy" / "shard" / "policy.json").write_bytes(_policy(name).encode())
    (folder / "keys").mkdir()
    (folder / "keys" / _KEY).write_bytes(os.urandom(32))
    (folder / "config.json").write_text(json.dumps(_configuration(ground, name, folder, port)))
    argv = [sys.executable, "-m", "registry_runtime", "serve", "--config", str(folder / "config.json")]
    with running(argv, folder / "log", **_ENVIRONMENT) as pid:

        def forget() -> None:
            for file in (folder / "cache").glob("**/*"):
                if file.is_file():
                    file.unlink()

        server = Server(
            name,
            f"{ground.scheme}://127.0.0.1:{port}",
            ground.authorization(),
            ground.authority.file,
            pid,
            forget,
        )
        yield until_up(server, folder / "log")
    shutil.rmtree(folder)


def _configuration(ground: Ground, name: str, folder: Path, port: int) -> dict[str, Any]:
    if ground.s3:
        storage = ground.s3.bucket(name.lower()).model_dump(mode="json")
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
        "cache": {"path": str(folder / "cache"), "size": _CACHE} if ground.s3 else None,
        "encryption": {"keys": str(folder / "keys")} if name == ENCRYPTED else None,
        "signing_key": str(folder / "signing.pem"),
    }  # fmt: skip


def _policy(name: str) -> Policy:
    grant = Grant(repositories=("team/**",), actions=frozenset(Action))
    token = Token(account="ours", owner="ours", hashes=("0" * 64,), grants=(grant,))
    return Policy(
        namespaces={"team": Claim(account="ours", owner="ours")},
        tokens={SUBJECT: token},
        encryption=KeyUse(active=_KEY, settled=True) if name == ENCRYPTED else None,
    )
