"""Names of images, and the entries of pull secrets that are for them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from registry_operator.observed import SecretData
from registry_runtime.contract.credential import Password

_HUB = "docker.io"
_KEYS = {".dockerconfigjson": "auths", ".dockercfg": None}  # where the entries stand in the document


@dataclass(frozen=True)
class Image:
    """`host` with its port, if it has one."""

    host: str
    repository: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """As container runtimes read it: without a dot, a port or `localhost` the first word is no host."""
        name = text.partition("@")[0]
        first, slash, rest = name.partition("/")
        if not slash or not ({".", ":"} & set(first) or first == "localhost"):
            first, rest = _HUB, name
        repository, colon, tag = rest.rpartition(":")
        return cls(first, repository if colon and "/" not in tag else rest)

    @property
    def hostname(self) -> str:
        return self.host.partition(":")[0]


@dataclass(frozen=True)
class Entry:
    """One of a pull secret; `password` is None where it holds none of ours."""

    host: str
    password: Password | None


def entries(secret: SecretData) -> tuple[Entry, ...]:
    """All of a pull secret; none where it cannot be read as one."""
    found: list[Entry] = []
    for key, field in _KEYS.items():
        document = _object(secret.values.get(key, b""))
        inner = document.get(field, {}) if field else document
        for host, entry in inner.items() if isinstance(inner, dict) else ():
            found.append(Entry(host, _password(entry) if isinstance(entry, dict) else None))
    return tuple(found)


def is_for(entry: str, image: Image) -> bool:
    """Whether the kubelet takes the entry of this key for the image.

    https://kubernetes.io/docs/concepts/containers/images/#config-json
    """
    key = entry.removeprefix("https://").removeprefix("http://")
    host, _, path = key.partition("/")
    name, _, port = host.partition(":")
    parts, wanted = name.split("."), image.hostname.split(".")
    if path.rstrip("/") in {"v1", "v2"}:  # as old clients write it
        path = ""
    return (
        port == image.host.partition(":")[2]
        and len(parts) == len(wanted)
        and all(fnmatchcase(one, glob) for one, glob in zip(wanted, parts, strict=True))
        and image.repository.startswith(path)
    )


def _password(entry: Mapping[str, Any]) -> Password | None:
    user, secret = entry.get("username"), entry.get("password")
    if not isinstance(secret, str):
        user, secret = _decoded(entry.get("auth"))
    if user == "_json_key":
        secret = _object(str(secret).encode()).get("password")
    try:
        return Password.parse(str(secret))
    except ValueError:
        return None


def _decoded(auth: object) -> tuple[str, str]:
    try:
        user, _, secret = base64.b64decode(str(auth), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, secret


def _object(content: bytes) -> dict[str, Any]:
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
