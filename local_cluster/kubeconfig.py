"""Kubeconfig files, with everything inside them. JSON is YAML too, so no YAML library is needed."""

import base64
import json
from typing import Any


def render(server: str, user: str, pki: dict[str, bytes], file: str) -> bytes:
    """A kubeconfig for the client certificate `file` of `pki`, speaking to `server` (https://host:port)."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": user,
                "cluster": {"server": server, "certificate-authority-data": base64_of(pki["ca.crt"])},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": base64_of(pki[f"{file}.crt"]),
                    "client-key-data": base64_of(pki[f"{file}.key"]),
                },
            }
        ],
        "contexts": [{"name": user, "context": {"cluster": user, "user": user}}],
        "current-context": user,
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()
