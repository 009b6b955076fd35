"""CNCF Distribution, built from its Go module as it is released, with its usual settings.

https://distribution.github.io/distribution/about/configuration/
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.peers.ground import SERVICE, Ground
from benchmarks.peers.server import Server, running, until_up
from local_cluster.build import cache_root
from local_cluster.parts import Part, Parts, build_part, go
from tests.s3_server import ACCESS, SECRET, free_port

NAME = "Distribution"


@dataclass(frozen=True)
class _Peer(Part):
    @property
    def sources(self) -> Path:
        return Path(__file__).parent / self.name


def build() -> Path:
    """The program, in the cache of everything that is built."""
    plain = go("distribution", "registry")
    part = _Peer(plain.name, plain.binaries, plain.command, plain.package, plain.env)
    folder = Parts(cache_root()).folder(part)
    build_part(folder, part, print)
    return folder / "registry"


@contextmanager
def distribution(ground: Ground, program: Path) -> Iterator[Server]:
    folder = ground.own("distribution")
    port = free_port()
    authorization = ground.authorization()
    (folder / "jwks.json").write_text(json.dumps({"keys": [_jwk(ground.signing, authorization)]}))
    (folder / "config.yml").write_text(yaml.safe_dump(_configuration(ground, folder, port)))
    with running([program, "serve", str(folder / "config.yml")], folder / "log") as pid:
        url = f"{ground.scheme}://127.0.0.1:{port}"
        yield until_up(Server(NAME, (url,), authorization, ground.authority.file, (pid,)), folder / "log")
    shutil.rmtree(folder)


def _configuration(ground: Ground, folder: Path, port: int) -> dict[str, Any]:
    certificate = {
        "certificate": str(ground.folder / "tls" / "tls.crt"),
        "key": str(ground.folder / "tls" / "tls.key"),
    }
    return {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {
            **_storage(ground, folder),
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
            "redirect": {"disable": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": "only-for-benchmarks",
            **({"tls": certificate} if ground.tls else {}),
        },
        "auth": {
            "token": {
                "realm": "http://127.0.0.1/token",
                "service": SERVICE,
                "issuer": SERVICE,
                "jwks": str(folder / "jwks.json"),
                "signingalgorithms": ["ES256"],
            }
        },
    }


def _storage(ground: Ground, folder: Path) -> dict[str, Any]:
    if ground.s3 is None:
        return {"filesystem": {"rootdirectory": str(folder / "data")}}
    ground.s3.bucket("distribution")
    return {
        "s3": {
            "accesskey": ACCESS,
            "secretkey": SECRET,
            "region": "us-east-1",
            "regionendpoint": ground.s3.endpoint,
            "forcepathstyle": True,
            "bucket": "distribution",
            "secure": ground.s3.ca_file is not None,
            "skipverify": ground.s3.ca_file is not None,
        }
    }


def _jwk(signing: bytes, authorization: str) -> dict[str, str]:
    """The public key as RFC 7517 writes it, under the name that the bearer's header gives it."""
    header = authorization.removeprefix("Bearer ").partition(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    key = load_pem_private_key(signing, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
        for number in (point.x, point.y)
    )
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"}
