"""A listing's XML: read whole or not at all, whoever wrote it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_runtime.storage.base import Entry
from registry_runtime.storage.s3.listing import Unreadable, parse, query

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def page(
    namespace: str = NAMESPACE,
    truncated: str = "false",
    key: str = "tenant/k/a%3Ab%2Bc+d",
    encoding: str = "<EncodingType>url</EncodingType>",
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{namespace}><Name>b</Name>{encoding}'
        f"<IsTruncated>{truncated}</IsTruncated><Contents><Key>{key}</Key>"
        "<LastModified>2026-11-21T08:00:00.123Z</LastModified><ETag>&quot;e&quot;</ETag><Size>12</Size>"
        "</Contents></ListBucketResult>"
    ).encode()


@pytest.mark.parametrize("namespace", [NAMESPACE, ""])
def test_a_page_is_read(namespace: str) -> None:
    """With its keys as they are, less the registry's prefix; some servers name no namespace."""
    listing = parse(page(namespace, "true"), len("tenant/"))
    assert listing.entries == (Entry("k/a:b+c d", 12, datetime(2026, 11, 21, 8, 0, 0, 123000, UTC)),)
    assert listing.more
    assert not parse(page(namespace, "false"), len("tenant/")).more


def test_a_key_is_decoded_where_the_server_says_so() -> None:
    """One that leaves `encoding-type` unheard gives the key as it is, whatever that looks like."""
    assert parse(page(key="a%2Bb/k"), len("a+b/")).entries[0].key == "k"
    assert parse(page(encoding=""), len("tenant/")).entries[0].key == "k/a%3Ab%2Bc+d"
    odd = page(encoding="<EncodingType></EncodingType>", key="tenant/a%20b")
    assert parse(odd, len("tenant/")).entries[0].key == "a%20b"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        page()[:-1],
        page()[:150],
        page().replace(b"<IsTruncated>false</IsTruncated>", b""),
        page().replace(b"<Size>12</Size>", b""),
        page().replace(b"12", b"many"),
        page().replace(b"2026", b"when"),
        b"<html>not found</html>",
    ],
)
def test_what_breaks_off_is_no_page(content: bytes) -> None:
    """A page that lacks an end would hide what lies behind it."""
    with pytest.raises(Unreadable):
        parse(content, 0)


def test_only_what_is_asked_for_is_said() -> None:
    """An empty start-after is left out: a server may take it for a key."""
    assert query("k/", "", 10) == {"list-type": "2", "encoding-type": "url", "prefix": "k/", "max-keys": "10"}
    assert query("k/", "k/a", 10)["start-after"] == "k/a"


def test_a_page_without_keys_is_the_last_one() -> None:
    """Else whoever goes on after its last key would ask for the same for ever."""
    empty = page("", "true").replace(b"<Contents>", b"<None>").replace(b"</Contents>", b"</None>")
    with pytest.raises(Unreadable):
        parse(empty, 0)
    assert parse(empty.replace(b"true", b"false"), 0).entries == ()
