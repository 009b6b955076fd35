"""References: how a manifest is asked for."""

from __future__ import annotations

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import Tag

Reference = Tag | Digest


def parse_reference(text: str) -> Reference:
    """A colon makes it a digest. Raises DigestInvalid or TagInvalid."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)
