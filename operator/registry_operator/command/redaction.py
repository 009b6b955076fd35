"""What leaves a cluster in a report, without what is secret. No I/O.

Two nets: every value of a Secret that could be read is looked for in all forms that it takes in a text; and
what looks like a credential goes, whosever it is. Environment and annotations are let through by name only.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from registry_operator.models.base import GROUP

REDACTED = "[redacted]"
SHORTEST = 6  # bytes of a value: shorter ones stand everywhere by chance
Object = dict[str, Any]

_WORDS = ("pass(?:word|wd|phrase)?", "secret", "token", "(?:api|access|private)[_-]?key", "authorization")
_NAMES = f"(?:{'|'.join(_WORDS)})"
_PATTERNS = (
    re.compile(r"rst_[0-9a-z]{16}_[0-9a-z]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"),
    re.compile(r"(?i)(?<=[?&])X-Amz-(?:Signature|Credential|Security-Token)=[^&\s\"']+"),
    re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)"),
)
_NAMED = re.compile(
    rf"(?i)([\"']?[\w.-]*{_NAMES}[\"']?\s*[:=]\s*)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&}}\]]+)"
)
_KEY = re.compile(rf"(?i)[\w.-]*{_NAMES}")
_HARMLESS = re.compile(r"(?i)[\"']?(?:null|none|true|false|-?[0-9.]+)?[\"']?")
# Of whose annotations the values are no secrets of others.
_ANNOTATIONS = (
    GROUP,
    f".{GROUP}",
    "deployment.kubernetes.io",
    "argocd.argoproj.io",
    "app.kubernetes.io",
    "kubernetes.io",
)
_ENVIRONMENT = frozenset(
    {
        *("RUNTIME_IMAGE", "RUNTIME_PULL_POLICY", "OPERATOR_NAMESPACE", "SERVICE_ACCOUNT", "API_PORTS"),
        *("POD_NAME", "ZONE", "LOG_LEVEL", "MALLOC_ARENA_MAX", "LIVENESS_PORT", "METRICS_PORT"),
    }
)


class Scrubber:
    """Knows the values of all Secrets that could be read; `texts` gives one longer text at a time."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        known = {form for value in secrets for one in _parts(value) for form in forms(one)}
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Without what is known, and without what looks like a credential."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern in _PATTERNS:
            text = pattern.sub(REDACTED, text)
        return _NAMED.sub(_without_value, text)

    def value(self, value: Any) -> Any:
        """Every text within a JSON value; keys of objects, too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._named(name, one) for name, one in value.items()}
        return [self.value(one) for one in value] if isinstance(value, list) else value

    def _named(self, name: str, value: Any) -> Any:
        """What stands under a name such as `password` is one."""
        return REDACTED if isinstance(value, str) and _KEY.fullmatch(name) else self.value(value)

    def object(self, obj: Mapping[str, Any]) -> Object:
        """A Kubernetes object that is no Secret."""
        cleaned: Object = self.value(_bare(obj))
        return cleaned


def secret(obj: Mapping[str, Any]) -> Object:
    """Of a Secret: where it is, whose, its type, and which keys of which size; no value, no annotation."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "ownerReferences")
    labels = metadata.get("labels") or {}
    sizes = {name: len(_decoded(value)) for name, value in (obj.get("data") or {}).items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "labels": {name: value for name, value in labels.items() if _is_ours(name)},
        },
        "type": obj.get("type"),
        "sizes": sizes,
    }


def values(obj: Mapping[str, Any]) -> list[bytes]:
    """What must not be seen of a Secret. Certificates are public, and so is the CA that clients trust."""
    data = obj.get("data") or {}
    return [_decoded(value) for name, value in data.items() if name not in {"ca.crt", "tls.crt", "username"}]


def forms(value: bytes) -> set[str]:
    """Texts in which it may stand: as it is, in JSON, in a URL, in hex, in base64 at each alignment."""
    if len(value) < SHORTEST:
        return set()
    found = {value.hex(), value.hex().upper()}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        pass
    else:
        found |= {text, text.strip(), quote(text), quote(text, safe=""), quote_plus(text)}
        found |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        found |= {json.dumps(json.dumps(text)[1:-1])[1:-1]}  # JSON within a text within JSON
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * shift + value).decode().rstrip("=")
            # The first and the last characters hold bits of what stands beside it.
            cut = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(value)) % 3 else 0)]
            found.add(cut)
    return {one for one in found if len(one) >= SHORTEST}


def _parts(value: bytes) -> set[bytes]:
    """The value, and what stands in it where it is a JSON document, such as a pull secret."""
    found = {value, value.strip()}
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return found
    return found | {one.encode() for one in _texts(document)}


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            if name in {"username", "registries", "since", "until", "given"}:
                continue  # no secrets, and words that stand everywhere
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _bare(value: Any) -> Any:
    """Without managedFields, foreign annotations and environment."""
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _bare(one) for name, one in value.items() if name != "managedFields"}
    if isinstance(found.get("annotations"), dict):
        found["annotations"] = {
            name: one if _is_ours(name) else REDACTED for name, one in found["annotations"].items()
        }
    if isinstance(found.get("env"), list):
        found["env"] = [
            one if not isinstance(one, dict) or one.get("name") in _ENVIRONMENT or "value" not in one
            else {**one, "value": REDACTED}
            for one in found["env"]
        ]  # fmt: skip
    return found


def _is_ours(name: str) -> bool:
    prefix = name.partition("/")[0]
    if name == "kubectl.kubernetes.io/last-applied-configuration":
        return False
    return prefix in _ANNOTATIONS or prefix.endswith(f".{GROUP}")


def _without_value(found: re.Match[str]) -> str:
    return found[0] if _HARMLESS.fullmatch(found[2]) else f"{found[1]}{REDACTED}"


def _decoded(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "", validate=True)
    except binascii.Error:
        return (value or "").encode()
