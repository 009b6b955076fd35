"""A page of a bucket's listing, read from its XML.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from registry_runtime.storage.base import Entry, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Unreadable(Exception):
    """The answer breaks off, or is no listing."""


def query(prefix: str, after: str, limit: int) -> Mapping[str, str]:
    """The request's parameters: keys that begin with `prefix` and come after `after`, both whole keys."""
    words = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "max-keys": str(limit)}
    return {**words, "start-after": after} if after else words


def parse(content: bytes, strip: int) -> Listing:
    """The entries, their keys without the first `strip` characters. Raises Unreadable."""
    try:
        root = ET.fromstring(content)  # noqa: S314 - expat bounds the expansion of entities itself
        said = _children(root)
        # A server may leave `encoding-type` unheard, as versitygw does, and then says nothing of an encoding.
        decode = unquote_plus if said.get("EncodingType") == "url" else str
        truncated = said["IsTruncated"] == "true"
        entries = tuple(_entry(node, strip, decode) for node in root if node.tag.endswith("Contents"))
    except (ET.ParseError, KeyError, ValueError) as error:
        raise Unreadable(str(error)) from error
    return Listing(entries, truncated)


def _entry(node: ET.Element, strip: int, decode: Callable[[str], str]) -> Entry:
    fields = _children(node)
    return Entry(
        decode(fields["Key"])[strip:],
        int(fields["Size"]),
        datetime.fromisoformat(fields["LastModified"]),
    )


def _children(node: ET.Element) -> dict[str, str]:
    """Texts by the children's names, whatever their namespace."""
    return {child.tag.rpartition("}")[2]: child.text or "" for child in node}
