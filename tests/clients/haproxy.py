"""A real HAProxy before a replica, as controllers of Ingress and of Gateway API run one: Debian's."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_cluster.build import cache_root
from local_cluster.cache import digest_of, make_once
from tests.api.replica import Replica
from tests.s3_server import free_port

FETCH = ("-o", "Debug::NoLocking=1", "install", "--download-only", "--no-install-recommends", "--yes")
SECONDS = 20.0
CONFIG = """
defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s

frontend terminates
    mode http
    option forwardfor
    bind 127.0.0.1:{terminates} ssl crt {certificate}
    default_backend over_tls

backend over_tls
    mode http
    server replica 127.0.0.1:{replica} ssl verify required ca-file {ca} sni str(public.test)

frontend passes
    mode tcp
    bind 127.0.0.1:{passes}
    default_backend as_it_is

backend as_it_is
    mode tcp
    server replica 127.0.0.1:{replica}
"""


@dataclass(frozen=True)
class HAProxy:
    """Ports of the loopback: one ends TLS and speaks TLS to the replica, one passes it through."""

    terminates: int
    passes: int


@contextmanager
def haproxy(replica: Replica, certificate: Path, folder: Path) -> Iterator[HAProxy]:
    """`certificate` is a folder with tls.crt and tls.key, of the proxy's own."""
    own = folder / "own.pem"
    own.write_bytes(b"".join((certificate / name).read_bytes() for name in ("tls.crt", "tls.key")))
    proxy, file = HAProxy(free_port(), free_port()), folder / "haproxy.cfg"
    words = {"replica": replica.ports["public"], "certificate": own, "ca": replica.authority.file}
    file.write_text(CONFIG.format(terminates=proxy.terminates, passes=proxy.passes, **words))
    root = unpacked()
    libraries = ":".join(str(one) for one in (root / "usr" / "lib").glob("*-linux-gnu"))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [root / "usr" / "sbin" / "haproxy", "-db", "-f", file],
            stdout=log,
            stderr=log,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )
    try:
        ends = time.monotonic() + SECONDS
        while not all(map(_listens, (proxy.terminates, proxy.passes))):
            assert process.poll() is None, (folder / "haproxy.log").read_text()
            assert time.monotonic() < ends, (folder / "haproxy.log").read_text()
            time.sleep(0.05)
        yield proxy
    finally:
        process.kill()
        process.wait()


def unpacked() -> Path:
    """Installed, it would run as a service of this machine."""
    folder = cache_root() / "debian" / f"haproxy-{digest_of(FETCH)}"
    folder.parent.mkdir(parents=True, exist_ok=True)

    def make(into: Path) -> None:
        archives = into.parent / "archives"
        (archives / "partial").mkdir(parents=True)
        fetch = ["apt-get", "-o", f"Dir::Cache::archives={archives}", *FETCH, "haproxy"]
        if subprocess.run(fetch, check=False, capture_output=True).returncode:
            subprocess.run(["apt-get", "update"], check=True, capture_output=True)
            subprocess.run(fetch, check=True, capture_output=True)
        into.mkdir()
        for package in archives.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, into], check=True, capture_output=True)

    make_once(folder, make, waiting=lambda: None)
    return folder


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
