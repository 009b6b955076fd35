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
        space = root.tag[: root.tag.find("}") + 1]
        # A server may leave `encoding-type` unheard, as versitygw does, and then says nothing of an encoding.
        decode = unquote_plus if root.findtext(f"{space}EncodingType") == "url" else str
        names = (f"{space}Key", f"{space}Size", f"{space}LastModified")
        entries = tuple(_entry(node, names, strip, decode) for node in root.iterfind(f"{space}Contents"))
        truncated = _text(root, f"{space}IsTruncated") == "true"
    except (ET.ParseError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if truncated and not entries:
        raise Unreadable("a page that is not the last one has no keys")
    return Listing(entries, truncated)


def _entry(node: ET.Element, names: tuple[str, str, str], strip: int, decode: Callable[[str], str]) -> Entry:
    key, size, modified = (_text(node, name) for name in names)
    return Entry(decode(key)[strip:], int(size), datetime.fromisoformat(modified))


def _text(node: ET.Element, name: str) -> str:
    found = node.findtext(name)
    if found is None:
        raise ValueError(f"no {name}")
    return found
