"""What is parsed here, each as a function of bytes that raises only where something is wrong with us.

A function swallows the errors that its parser declares, and checks what it can of what came back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from registry_runtime.api import pages, ranges
from registry_runtime.api.host import Hosts
from registry_runtime.api.trace import ENDPOINT, SECURE
from registry_runtime.auth import credentials
from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import BearerInvalid, Bearers, Claims
from registry_runtime.content import manifest
from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.content.reference import parse_reference
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action
from registry_runtime.errors import (
    BlobUploadInvalid,
    DigestInvalid,
    LoginTooLarge,
    ManifestInvalid,
    NameInvalid,
    PageInvalid,
    RangeNotSatisfiable,
    TagInvalid,
)
from registry_runtime.storage import paths

DIGEST = b"sha256:" + b"0a" * 32
_BEARERS = Bearers.generate("fuzz/registry")
_CLAIMS = Claims("0123456789abcdef", 1000, 1300, Scopes({"team/app": frozenset({Action.PULL})}, catalog=True))
BEARER = _BEARERS.sign(_CLAIMS).encode()
_HOSTS = Hosts({Endpoint.PUBLIC: ("registry.test", "[::1]"), Endpoint.PRIVATE: ("private.test",)}, "a/b")


@dataclass(frozen=True)
class Format:
    """`check` takes anything, and tells whether it means something, as the first of the seeds does.

    `longest` is in bytes.
    """

    check: Callable[[bytes], bool]
    seeds: Sequence[bytes]
    longest: int = 1024


def digest(data: bytes) -> bool:
    text = as_text(data)
    try:
        found = Digest.parse(text)
    except DigestInvalid as error:
        json.dumps(error.detail)
        return False
    assert str(found) == text
    assert paths.Tree().pointer(found) == f"blobs/{found.algorithm}/{found.hex}"
    return True


def name(data: bytes) -> bool:
    text = as_text(data)
    try:
        found = RepositoryName.parse(text)
    except NameInvalid:
        return False
    assert found.text == text
    assert paths.unescape(paths.escape(text)) == text
    assert paths.just_before(paths.escape(text)) < paths.escape(text)
    assert not {"", ".", ".."} & set(text.split("/"))
    return True


def reference(data: bytes) -> bool:
    try:
        found = parse_reference(as_text(data))
    except (DigestInvalid, TagInvalid):
        return False
    assert str(found) == as_text(data)
    assert not isinstance(found, Tag) or "/" not in found.text
    return True


def asked_range(data: bytes) -> bool:
    size = int.from_bytes(data[:3], "big")
    try:
        span = ranges.asked(data[3:].decode("latin-1"), size)
    except RangeNotSatisfiable:
        return False
    assert span is None or 0 <= span.start <= span.end < size
    return True


def content_range(data: bytes) -> bool:
    try:
        span = ranges.chunk(data.decode("latin-1"))
    except (BlobUploadInvalid, RangeNotSatisfiable):
        return False
    assert span is not None
    assert 0 <= span.start <= span.end < 10**18
    return True


def manifest_(data: bytes) -> bool:
    kind = sorted(manifest.IMAGES | manifest.INDEXES)[data[0] % 4] if data else ""
    content = data[1:]
    try:
        found = manifest.parse(kind, content)
    except ManifestInvalid as error:
        json.dumps([error.message, error.detail]).encode()
        return False
    listed = [found.descriptor(content), *found.blobs, *found.manifests]
    json.dumps([one.to_json() for one in listed], ensure_ascii=False).encode()
    assert bool(found.blobs) is (kind in manifest.IMAGES)
    return True


def bearer(data: bytes) -> bool:
    try:
        found = _BEARERS.verify(as_text(data))
    except BearerInvalid:
        return False
    assert found == _CLAIMS
    return True


def authorization(data: bytes) -> bool:
    found = credentials.parse(data.decode("latin-1"))
    if isinstance(found, credentials.Basic):
        password(found.password.encode("utf-8", "surrogatepass"))
    if isinstance(found, credentials.Bearer):
        bearer(found.text.encode())
    return found != credentials.Unreadable()


def password(data: bytes) -> bool:
    text = as_text(data)
    try:
        found = Password.parse(text)
    except ValueError:
        return False
    assert found.text == text
    return True


def scope(data: bytes) -> bool:
    try:
        found = Scopes.parse(as_text(data).split("\n"))
    except LoginTooLarge:
        return False
    assert Scopes.from_claim(json.loads(json.dumps(found.claim()))) == found
    assert len(found.repositories) <= 32
    return True


def glob(data: bytes) -> bool:
    pattern, _, text = as_text(data).partition("\n")
    assert matches(pattern, pattern) or set(pattern) & set("*/")
    return matches(pattern, text)


def link(data: bytes) -> bool:
    """A page's Link, for any path and query that a server may hand over."""
    path, _, query = data.partition(b"?")
    request = Request({"type": "http", "path": as_text(path), "headers": [], "query_string": query})
    try:
        assert 0 <= pages.limit(request) <= pages.MOST
    except PageInvalid:
        return False
    header = pages.link(request, {"last": request.query_params.get("last", ""), "n": 5})["Link"]
    assert header.encode("ascii").isascii()
    assert not set(header) & set("\r\n\0")
    assert header.count(">") == 1
    return True


def host(data: bytes) -> bool:
    """The realm is on a host of ours, whatever was asked."""
    given = {"type": "http", "headers": [(b"host", data)], "state": {ENDPOINT: Endpoint.PUBLIC, SECURE: True}}
    challenge = _HOSTS.challenge(given, "repository:a:pull")
    realm = challenge.split('"')[1]
    assert realm.endswith("/token")
    asked = realm.removeprefix("https://").removesuffix("/token")
    ours, _, port = asked.rpartition(":") if asked.rstrip("0123456789").endswith(":") else (asked, "", "")
    assert ours in {"registry.test", "[::1]"} or asked == "[::1]", realm
    assert len(port) <= 5
    return True


def as_text(data: bytes) -> str:
    """As a server decodes a path or a query: what is no UTF-8 is marked."""
    return data.decode("utf-8", "replace")


_IMAGE = (
    b'\x03{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a",'
    b'"digest":"' + DIGEST + b'","size":2,"data":"e30="},"layers":[{"mediaType":"l","digest":"' + DIGEST
    + b'","size":9,"urls":["http://x"]}],"subject":{"mediaType":"s","digest":"' + DIGEST
    + b'","size":1},"annotations":{"k":"v"},"artifactType":"t"}'
)  # fmt: skip
_INDEX = (
    b'\x02{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"' + DIGEST
    + b'","size":1,"platform":{"os":"linux"}}]}'
)  # fmt: skip

FORMATS = {
    "digest": Format(digest, [DIGEST, b"sha512:" + b"0" * 128, b"md5:00"], 200),
    "name": Format(name, [b"team/app", b"a-b__c.d/e--f/0", b"Team", b"a/../b"], 300),
    "reference": Format(reference, [b"latest", b"_v1.0-rc", DIGEST], 200),
    "range": Format(asked_range, [b"\0\x08\0bytes=500-1499", b"\0\0\x01bytes=-5", b"\0\0\x09bytes=0-"], 80),
    "content-range": Format(content_range, [b"0-399", b"bytes 400-799/*", b"9-1"], 80),
    "manifest": Format(manifest_, [_IMAGE, _INDEX], 4096),
    "bearer": Format(bearer, [BEARER]),
    "authorization": Format(
        authorization, [b"Basic YTpi", b"Bearer " + BEARER, b"Basic X2pzb25fa2V5OnsicGFzc3dvcmQiOiJ4In0="]
    ),
    "password": Format(password, [Password.generate("0" * 16).text.encode()], 120),
    "scope": Format(scope, [b"repository:team/app:pull,push registry:catalog:*\nrepository:a:*"]),
    "glob": Format(glob, [b"team/*/x**\nteam/a/xb/c", b"**\na"], 200),
    "link": Format(link, [b"/v2/team/app/tags/list?n=2&last=a%22", b"/v2/_catalog?n=0"], 400),
    "host": Format(host, [b"registry.test:5000", b"[::1]:443", b"registry.test"], 80),
}
