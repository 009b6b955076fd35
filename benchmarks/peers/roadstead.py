"""Roadstead as it runs in pods: a process for each replica, with a configuration file."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import registry_runtime
from benchmarks.peers.ground import SERVICE, SUBJECT, Ground
from benchmarks.peers.server import Server, running, until_up
from registry_runtime.contract.policy import KEY, Action, Claim, Grant, KeyUse, Policy, Token
from tests.s3_server import free_port

NAME = "Roadstead"
ENCRYPTED = "Encrypted"  # the same, with a tenant's key
_CACHE = 4 * 1024**3  # bytes
_KEY = "k1"
_NO_MORE = Policy()
_ENVIRONMENT = {  # as images/Containerfile sets it
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
    "MALLOC_MMAP_THRESHOLD_": str(8 * 1024**2),
    "OPENSSL_CONF": str(Path(registry_runtime.__file__).with_name("openssl.cnf")),
}


def image_python() -> Path:
    """The interpreter most like the image's: the distribution's, which is built with its own profile.

    One that was built by hand without (`--enable-optimizations`) takes 12 to 20 % more time for a manifest.
    """
    distribution = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    return distribution if distribution.is_file() else Path(sys.executable)


@contextmanager
def roadstead(
    ground: Ground, python: Path, replicas: int, name: str = NAME, policy: Policy = _NO_MORE
) -> Iterator[Server]:
    """So many replicas on the same storage, each with a port and a cache of its own.

    The policy comes beside what allows all that a comparison needs.
    """
    folder = ground.own(name.lower())
    (folder / "signing.pem").write_bytes(ground.signing)
    (folder / "policy" / "shard").mkdir(parents=True)
    (folder / "policy" / "shard" / KEY).write_bytes(Policy.merge((_policy(name), policy)).encode())
    (folder / "keys").mkdir()
    (folder / "keys" / _KEY).write_bytes(os.urandom(32))
    storage = _storage(ground, name, folder)
    ports = [free_port() for _ in range(replicas)]
    logs = [folder / f"{port}.log" for port in ports]

    def forget() -> None:
        for file in folder.glob("cache-*/**/*"):
            if file.is_file():
                file.unlink()

    with ExitStack() as stack:
        pids = []
        for port, log in zip(ports, logs, strict=True):
            file = folder / f"{port}.json"
            file.write_text(json.dumps(_configuration(ground, name, folder, port, storage)))
            argv: list[str | Path] = [python, "-m", "registry_runtime", "serve", "--config", file]
            pids.append(stack.enter_context(running(argv, log, **_ENVIRONMENT, PYTHONPATH=_packages())))
        urls = tuple(f"{ground.scheme}://127.0.0.1:{port}" for port in ports)
        yield until_up(
            Server(name, urls, ground.authorization(), ground.authority.file, tuple(pids), forget), *logs
        )
    shutil.rmtree(folder)


def _packages() -> str:
    """The project and what it depends on, without the standard library of our own interpreter."""
    return os.pathsep.join(path for path in sys.path if path and not path.startswith(sys.base_prefix))


def _storage(ground: Ground, name: str, folder: Path) -> dict[str, Any]:
    if ground.s3:
        return ground.s3.bucket(name.lower()).model_dump(mode="json")
    return {"kind": "directory", "path": str(folder / "data")}


def _configuration(
    ground: Ground, name: str, folder: Path, port: int, storage: dict[str, Any]
) -> dict[str, Any]:
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
        "cache": {"path": str(folder / f"cache-{port}"), "size": _CACHE} if ground.s3 else None,
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
