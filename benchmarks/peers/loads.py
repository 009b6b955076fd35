"""Loads: the same work put to a server by one client or by many, each a process of its own."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

from benchmarks.peers.client import Connection
from benchmarks.peers.ground import REPOSITORY
from benchmarks.peers.server import Server
from registry_runtime.content.buffer import Buffer

IMAGE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SETTLE = 0.15  # seconds in which a server writes its log, and what it does behind an answer

Work = Callable[[Connection, int], float]  # given the number of the client; how much it did


@dataclass(frozen=True)
class Sample:
    """What was done, in `seconds` of the clock and `cpu` seconds of the server (None: not known)."""

    amount: float
    seconds: float
    cpu: float | None

    @property
    def rate(self) -> float:
        return self.amount / self.seconds

    @property
    def rate_by_cpu(self) -> float | None:
        return self.amount / self.cpu if self.cpu else None


def together(server: Server, clients: int, work: Work) -> Sample:
    """All clients at once, from the moment when each is connected until the last one is done."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(clients)
    results = context.SimpleQueue()

    def client(number: int, barrier: Barrier) -> None:
        try:
            connection = server.connect(number)
            barrier.wait(60)
            begun = time.monotonic()
            results.put((work(connection, number), begun, time.monotonic()))
        except BaseException as error:
            results.put(f"{type(error).__name__}: {error}")
            raise

    before = server.cpu()
    processes = [context.Process(target=client, args=(number, barrier)) for number in range(clients)]
    for process in processes:
        process.start()
    outcomes = [results.get() for _ in processes]
    for process in processes:
        process.join()
    time.sleep(_SETTLE)
    after = server.cpu()
    failed = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failed:
        raise RuntimeError(f"{server.name}: {failed[0]}")
    seconds = max(end for _, _, end in outcomes) - min(begun for _, begun, _ in outcomes)
    cpu = after - before if after is not None and before is not None else None
    return Sample(sum(amount for amount, _, _ in outcomes), seconds, cpu)


def wrk(server: Server, path: str, seconds: float, connections: int = 16) -> Sample:
    """Requests for one small thing, as fast as they are answered; each replica has its share of connections.

    Raises RuntimeError for any but 200.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is missing: apt-get install wrk")
    headers = ["-H", f"Authorization: {server.authorization}", "-H", f"Accept: {IMAGE}"]
    load = ["-t1", f"-c{connections // len(server.urls)}", f"-d{seconds:g}s"]
    before = server.cpu()
    running = [
        subprocess.Popen(["wrk", *load, *headers, url + path], stdout=subprocess.PIPE, text=True)
        for url in server.urls
    ]
    outputs = [process.communicate()[0] for process in running]
    time.sleep(_SETTLE)
    after = server.cpu()
    cpu = after - before if after is not None and before is not None else None
    counts, spans = zip(*(_counted(server, output) for output in outputs), strict=True)
    return Sample(sum(counts), max(spans), cpu)


def _counted(server: Server, output: str) -> tuple[int, float]:
    """Requests, and in how many seconds, by what wrk says."""
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output)
    if not found or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"{server.name}: {output}")
    return int(found[1]), float(found[2]) / (1000 if found[3] == "ms" else 1)


class Bulk:
    """Bytes that do not compress; each blob of them ends differently."""

    def __init__(self, mib: int) -> None:
        self._base = os.urandom(1024 * 1024) * mib
        self._hash = hashlib.sha256(self._base)

    def blob(self, times: int = 1) -> tuple[str, Sequence[Buffer]]:
        """A new blob of the bulk, so many times over: its digest and its pieces."""
        hasher = self._hash.copy()
        for _ in range(times - 1):
            hasher.update(self._base)
        tail = os.urandom(16)
        hasher.update(tail)
        return f"sha256:{hasher.hexdigest()}", (*[self._base] * times, tail)


def push_image(connection: Connection, tag: str, layers: int = 6) -> str:
    """A manifest of usual size under the tag; its digest."""
    blobs = [os.urandom(1024) for _ in range(layers + 1)]
    for blob in blobs:
        connection.push(REPOSITORY, _digest(blob), (blob,))
    return push_manifest(connection, tag, blobs[0], blobs[1:])


def push_manifest(connection: Connection, reference: str | None, config: bytes, layers: list[bytes]) -> str:
    """Under the reference, or by its digest; the digest."""
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer) for layer in layers],
        }
    ).encode()
    digest = _digest(content)
    path = f"/v2/{REPOSITORY}/manifests/{reference or digest}"
    connection.expect(201, "PUT", path, (content,), f"Content-Type: {IMAGE}\r\n")
    return digest


def push_small(connection: Connection, count: int) -> int:
    """So many new objects: half blobs of 1 KiB, half manifests that name them."""
    config = os.urandom(64)
    connection.push(REPOSITORY, _digest(config), (config,))
    for _ in range(count // 2):
        layer = os.urandom(1024)
        connection.push(REPOSITORY, _digest(layer), (layer,))
        push_manifest(connection, None, config, [layer])
    return count // 2 * 2


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
