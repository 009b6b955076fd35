"""`kubectl roadstead verify`: reads every digest of a Registry back, and compares."""

from __future__ import annotations

import argparse
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from registry_operator.cluster import Cluster
from registry_operator.cluster.resources import ACCESS_TOKENS, CONFIG_MAPS, REGISTRIES, SECRETS
from registry_operator.command.connection import FINE, WRONG, Connection
from registry_operator.command.printing import FORMATS, Printer
from registry_operator.command.readback import TIMEOUT, ReadBack
from registry_operator.errors import NotFound, OperatorError
from registry_operator.models import AccessToken, Registry
from registry_operator.secrets import read

HELP = "read every digest back, and name each that is not what it should be"


def describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("registry", metavar="[NAMESPACE/]REGISTRY", help="a Registry")
    add("--token", required=True, metavar="[NAMESPACE/]TOKEN", help="an AccessToken that may pull and list")
    add("--repositories", default="**", metavar="GLOB", help="only these [all that the token may see]")
    add("--private", action="store_true", help="by the private domain")
    add("--address", metavar="HOST[:PORT]", help="where the domain is reached, such as a port-forward")
    add("--parallel", type=int, default=4, help="blobs at a time [%(default)s]")
    add("--resume", type=Path, metavar="FILE", help="remembers what was read; read again, goes on from there")
    add("-o", "--output", choices=FORMATS, default="text", help="[%(default)s]")


def misuse(options: argparse.Namespace) -> str:
    """What is wrong with the command line; "" where nothing is."""
    if not 1 <= options.parallel <= 64:  # noqa: PLR2004 - more would only hurt the registry
        return "--parallel: from 1 to 64"
    port = (options.address or "").rpartition(":")[2] if ":" in (options.address or "") else "443"
    return "" if port.isdigit() else f"--address {options.address}: must be HOST or HOST:PORT"


async def run(options: argparse.Namespace, printer: Printer) -> int:
    """0 where all is as it should be; 1 and a list where not."""
    connection = Connection.open(options)
    async with connection.cluster() as cluster:
        registry = Registry.parse(await cluster.get(REGISTRIES, *connection.key(options.registry)))
        token = AccessToken.parse(await cluster.get(ACCESS_TOKENS, *connection.key(options.token)))
        password = read(await cluster.get(SECRETS, *token.secret)).values.get("password", b"").decode()
        trust = await _trust(cluster, registry)
    host = registry.spec.private_host if options.private else registry.spec.hostname
    try:
        done = frozenset(options.resume.read_text().split()) if options.resume else frozenset()
    except FileNotFoundError:
        done = frozenset()
    async with _session(host, options.address, trust, password) as (session, url):
        reading = ReadBack(session, url, options.repositories, options.parallel, done)
        try:
            if options.resume:
                with options.resume.open("a") as file:
                    reading.note = lambda digest: _remember(file, digest)
                    await reading.run()
            else:
                await reading.run()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OperatorError(f"{host}: no answer: {type(error).__name__}: {error}") from None
        except OSError as error:
            raise OperatorError(f"--resume {options.resume}: {error.strerror}") from None
    tell(reading, str(registry.key), printer, options.output)
    return WRONG if reading.faults else FINE


def tell(reading: ReadBack, registry: str, printer: Printer, form: str) -> None:
    count, faults = reading.count, sorted(reading.faults)
    if form != "text":
        document = {"registry": registry, "read": asdict(count), "faults": [asdict(one) for one in faults]}
        printer.document(document, form)
        return
    for one in faults:
        printer.line(f"✗ {one.repository}@{one.digest}: {one.what}", "red")
    earlier = f", {count.skipped} blobs in an earlier run" if count.skipped else ""
    printer.line(
        f"{'✗' if faults else '✓'} {registry}: {count.repositories} repositories, {count.tags} tags, "
        f"{count.manifests} manifests, {count.blobs} blobs, {count.bytes} bytes{earlier}: "
        f"{f'{len(faults)} faults' if faults else 'all as their digests say'}",
        "red" if faults else "green",
    )


def _remember(file: Any, digest: str) -> None:
    file.write(f"{digest}\n")
    file.flush()


async def _trust(cluster: Cluster, registry: Registry) -> ssl.SSLContext:
    """The Registry's own CA where it has one; else what the machine trusts."""
    name = registry.status.ca_bundle
    try:
        bundle = await cluster.get(CONFIG_MAPS, registry.key.namespace, name) if name else {}
    except NotFound:
        bundle = {}
    return ssl.create_default_context(cadata=(bundle.get("data") or {}).get("ca.crt"))


@asynccontextmanager
async def _session(
    host: str, address: str | None, trust: ssl.SSLContext, password: str
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """With the domain's own name in TLS and in the header `Host`, wherever it is reached."""
    login = base64.b64encode(f"verify:{password}".encode()).decode()
    headers = {
        "Authorization": f"Basic {login}",
        "Host": host,
        "Accept-Encoding": "identity",
        "User-Agent": "kubectl-roadstead",
    }
    where, _, port = (address or host).partition(":")
    connector = aiohttp.TCPConnector(ssl=trust, limit=0, resolver=Elsewhere(where))
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=TIMEOUT) as session:
        yield session, f"https://{host}:{port or 443}"


class Elsewhere(AbstractResolver):
    """Every name is where this one is."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(self._where, port, family)
        return [{**one, "hostname": host} for one in found]

    async def close(self) -> None:
        await self._resolver.close()
