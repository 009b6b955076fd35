"""TLS as the image sets it up: what OpenSSL reads before the first connection."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import registry_runtime
from tests.certificates import Authority

SETTINGS = Path(registry_runtime.__file__).with_name("openssl.cnf")
LOOK = """
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
print(*(cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"))
"""
SERVE = """
import socket, sys
from pathlib import Path
from registry_runtime.tls import ServedCertificate

with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    connection, _ = listening.accept()
    with ServedCertificate.of(Path(sys.argv[1])).context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(1)
"""


def test_the_cheaper_cipher_is_preferred() -> None:
    """And the others are still there for who asks for them only."""
    environment = {**os.environ, "OPENSSL_CONF": str(SETTINGS)}
    answer = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ]


def test_the_cheaper_cipher_is_what_a_connection_gets(tmp_path: Path) -> None:
    """Also from a client that would rather have another: the server's own wish counts."""
    authority = Authority(tmp_path / "authority")
    authority.issue(tmp_path / "tls", "127.0.0.1")
    trust = ssl.create_default_context(cafile=authority.file)
    wanted = [one["name"] for one in trust.get_ciphers() if one["protocol"] == "TLSv1.3"]
    assert wanted[0] == "TLS_AES_256_GCM_SHA384"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path / "tls")],
        env={**os.environ, "OPENSSL_CONF": str(SETTINGS)},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        address = "127.0.0.1", int(server.stdout.readline())
        with (
            socket.create_connection(address, 20) as plain,
            trust.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            assert secured.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)
