"""What all registries of a comparison stand on: a storage, certificates, a key that signs bearers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.contract.policy import Action
from tests.certificates import Authority
from tests.s3_server import S3Server, s3_server

Kind = Literal["directory", "s3"]
SERVICE = "benchmark/registry"  # issuer and audience of the bearers
REPOSITORY = "team/bench"
SUBJECT = "0" * 16
_A_DAY = 24 * 3600


@dataclass(frozen=True)
class Ground:
    """`folder` is on the file system that every storage lies on; `signing` is a PEM, EC on P-256."""

    tls: bool
    folder: Path
    authority: Authority
    signing: bytes
    s3: S3Server | None

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def authorization(self) -> str:
        """A bearer as the Docker token flow issues it: ES256, for everything in REPOSITORY."""
        now = int(time.time())
        claims = Claims(SUBJECT, now - 60, now + _A_DAY, Scopes({REPOSITORY: frozenset(Action)}))
        return f"Bearer {Bearers.load(SERVICE, self.signing).sign(claims)}"

    def own(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def stored(self, server: str) -> Path:
        """The folder in which the bytes of this server lie in the end."""
        return self.folder / "s3" / "buckets" / server if self.s3 else self.folder / server / "data"


@contextmanager
def ground(folder: Path, kind: Kind, *, tls: bool, s3_tls: bool) -> Iterator[Ground]:
    """`s3_tls` is whether the way to the bucket is encrypted."""
    folder.mkdir()
    authority = Authority(folder / "authority")
    authority.issue(folder / "tls", "127.0.0.1")
    key = ec.generate_private_key(ec.SECP256R1())
    signing = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with ExitStack() as stack:
        s3 = stack.enter_context(s3_server(folder / "s3", tls=s3_tls)) if kind == "s3" else None
        yield Ground(tls, folder, authority, signing, s3)
