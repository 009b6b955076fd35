"""A real S3 server on the loopback, with TLS from a certificate authority of its own; here versitygw."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local_cluster.parts import Parts
from registry_runtime.contract.config import S3Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

ACCESS = "roadstead-test"
SECRET = "only-for-tests-on-the-loopback"
DOMAIN = "s3.localhost"  # a wildcard needs two dots
START_SECONDS = 10.0


@dataclass(frozen=True)
class S3Server:
    """A server that is up; `folder` holds ca.crt, and `credentials/` with the files of a mounted Secret."""

    endpoint: str
    folder: Path
    ca_file: Path | None

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials"

    def client(self) -> S3Client:
        """boto3, for a test to prepare and to look behind the driver."""
        return s3_client(self.endpoint, ACCESS, SECRET, self.ca_file)

    def bucket(self, name: str, prefix: str = "") -> S3Storage:
        """The configuration of a new bucket."""
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return self.settings(name, prefix)

    def settings(self, name: str, prefix: str = "") -> S3Storage:
        """The configuration of a bucket, there or not."""
        return S3Storage(
            bucket=name,
            endpoint=self.endpoint,
            prefix=prefix,
            ca_file=self.ca_file,
            credentials=self.credentials,
        )

    def by_host(self, settings: S3Storage) -> S3Storage:
        """The same bucket in virtual-host style, on a server that knows DOMAIN."""
        endpoint = self.endpoint.replace("127.0.0.1", DOMAIN)
        return settings.model_copy(update={"endpoint": endpoint, "path_style": False})


def s3_client(endpoint: str, access_key: str, secret_key: str, ca_file: Path | None, **more: Any) -> S3Client:
    """boto3 for servers that are not AWS; `more` is for its Config.

    A checksum behind a body sends it in chunks, and versitygw sometimes takes the end of those for the next
    request on the connection (seen over TLS, about one in forty).
    """
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=str(ca_file) if ca_file else None,
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required", **more),
    )
    return client


@contextmanager
def s3_server(folder: Path, *, tls: bool = True) -> Iterator[S3Server]:
    """versitygw, its buckets below `folder`."""
    certificate = ["--cert", str(folder / "tls.crt"), "--key", str(folder / "tls.key")] if tls else []
    port = free_port()
    command = [
        str(program("versitygw")),
        *("--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive", *certificate),
        *("--virtual-domain", f"{DOMAIN}:{port}"),
        *("--iam-dir", str(folder / "users"), "posix", str(folder / "buckets")),
    ]
    with running(
        folder, port, command, {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}, tls
    ) as server:
        yield server


def administer(server: S3Server, *command: str) -> None:
    """Users of versitygw: `create-user`, `delete-user`."""
    who = ["--access", ACCESS, "--secret", SECRET, "--endpoint-url", server.endpoint, "--allow-insecure"]
    subprocess.run([program("versitygw"), "admin", *who, *command], check=True, capture_output=True)


@contextmanager
def running(
    folder: Path, port: int, command: list[str], env: dict[str, str], tls: bool
) -> Iterator[S3Server]:
    """Starts a server that is told to listen on `port` of the loopback, and stops it in the end."""
    (folder / "buckets").mkdir(parents=True, exist_ok=True)
    (folder / "users").mkdir()
    (folder / "credentials").mkdir()
    (folder / "credentials" / "accessKeyID").write_text(ACCESS)
    (folder / "credentials" / "secretAccessKey").write_text(SECRET)
    if tls:
        write_certificates(folder)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**env, "PATH": os.environ["PATH"]}, cwd=folder, stdout=log, stderr=log
        )
    try:
        ca_file = folder / "ca.crt" if tls else None
        server = S3Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}", folder, ca_file)
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def program(name: str) -> Path:
    """Raises PartMissing."""
    return Parts(Path(os.environ.get("ROADSTEAD_CACHE", "~/.cache/roadstead")).expanduser()).binary(name)


def _wait(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    trust = ssl.create_default_context(cafile=server.ca_file) if server.ca_file else None
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(server.endpoint, context=trust, timeout=1):  # noqa: S310
                return
        except urllib.error.HTTPError as answer:
            answer.close()  # no credentials, but it is there
            return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((server.folder / "server.log").read_text()) from None
            time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificates(folder: Path) -> None:
    """ca.crt, and tls.crt with tls.key for 127.0.0.1, localhost, and buckets below DOMAIN."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the test's certificate authority")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName(
        [
            *map(x509.DNSName, ("localhost", DOMAIN, f"*.{DOMAIN}")),
            x509.IPAddress(IPv4Address("127.0.0.1")),
        ]
    )
    ca = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(name, ca_name, key)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
