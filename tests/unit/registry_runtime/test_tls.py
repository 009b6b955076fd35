"""TLS as the image sets it up: what OpenSSL reads before the first connection."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import registry_runtime

LOOK = """
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
print(*(cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"))
"""


def test_the_cheaper_cipher_is_preferred() -> None:
    """And the others are still there for who asks for them only."""
    file = Path(registry_runtime.__file__).with_name("openssl.cnf")
    environment = {**os.environ, "OPENSSL_CONF": str(file)}
    answer = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ]
