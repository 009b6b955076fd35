"""A small registry client that says exactly what happened: for faults, where real clients retry and hide."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import aiohttp

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        """The OCI error codes in the body."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


def basic(user: str, password: str) -> dict[str, str]:
    """The header of RFC 7617."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@dataclass(frozen=True)
class Client:
    """One identity at one host; a new connection for each request, so that each meets the Service anew."""

    host: str
    ca: str
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 10
    address: str = ""  # instead of what the host's name resolves to

    def session(self) -> aiohttp.ClientSession:
        """A connection takes one request after the other, and so meets one replica.

        At its end it is cut, and waits for no peer's good-bye.
        """
        context = ssl.create_default_context(cadata=self.ca)
        resolver = Fixed(self.address) if self.address else None
        connector = aiohttp.TCPConnector(ssl=context, resolver=resolver, use_dns_cache=False, limit=64)
        return aiohttp.ClientSession(
            f"https://{self.host}",
            connector=connector,
            headers=basic(self.user, self.password) if self.password else {},
            timeout=aiohttp.ClientTimeout(total=self.timeout),
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        session: aiohttp.ClientSession | None = None,
        **words: Any,
    ) -> Answer:
        if data is not None:
            words["data"] = io.BytesIO(data)
        own = nullcontext(session) if session else self.session()
        async with own as through, through.request(method, path, **words) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, await answer.read())

    async def push_blob(self, repository: str, content: bytes) -> Answer:
        """POST, then PUT of everything: the two requests may meet two replicas."""
        begun = await self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        if begun.status != 202:
            return begun
        place = begun.headers["location"]
        query = f"{place}{'&' if '?' in place else '?'}digest={digest_of(content)}"
        return await self.ask("PUT", query, data=content)

    async def push_image(self, repository: str, tag: str, layer: bytes) -> str:
        """One layer, a config and a manifest. Returns the manifest's digest; raises PushRefused."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
        for blob in (layer, config):
            answer = await self.push_blob(repository, blob)
            if answer.status != 201:
                raise PushRefused(answer.status, answer.body)
        manifest = manifest_of(config, layer)
        answer = await self.ask(
            "PUT", f"/v2/{repository}/manifests/{tag}", data=manifest, headers={"Content-Type": OCI_MANIFEST}
        )
        if answer.status != 201:
            raise PushRefused(answer.status, answer.body)
        return digest_of(manifest)

    async def pull_image(
        self, repository: str, digest: str, session: aiohttp.ClientSession | None = None
    ) -> list[bytes]:
        """The manifest and the blobs that it names, each compared with its digest. Raises PullFailed."""
        manifest = await self._read(f"/v2/{repository}/manifests/{digest}", digest, session)
        named = json.loads(manifest)
        blobs = [named["config"]["digest"], *(layer["digest"] for layer in named["layers"])]
        return [
            manifest,
            *[await self._read(f"/v2/{repository}/blobs/{blob}", blob, session) for blob in blobs],
        ]

    async def _read(self, path: str, digest: str, session: aiohttp.ClientSession | None) -> bytes:
        answer = await self.ask("GET", path, session=session, headers={"Accept": OCI_MANIFEST})
        if answer.status != 200 or digest_of(answer.body) != digest:
            raise PullFailed(path, answer.status, answer.body[:200])
        return answer.body


class PushRefused(Exception):
    pass


class PullFailed(Exception):
    pass


class Fixed(aiohttp.abc.AbstractResolver):
    """Every name is at one address: a replica is asked by the registry's own host name."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        return [
            {
                "hostname": host,
                "host": self.address,
                "port": port,
                "family": family,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        return


def manifest_of(config: bytes, *layers: bytes) -> bytes:
    """An OCI image manifest of these blobs."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                {"mediaType": OCI_LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in layers
            ],
        }
    ).encode()
