"""What lies in an encrypted bucket: nothing for who has no key, everything for who has it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.client import LAYER, OCI_IMAGE, Client, digest_of
from tests.api.replica import KEY, Replica
from tests.s3_server import S3Server

CONFIG = b'{"a config": "that nobody should read"}'
CONTENT = b"".join(b"line %09d of a layer that nobody should read\n" % n for n in range(200_000))  # 10 MB
TAIL = b"the last bytes of an upload that nobody should read, and that is not done"


@pytest.fixture
def encrypted(server: S3Server, tmp_path: Path) -> Iterator[Replica]:
    storage = server.bucket(bucket_of(tmp_path)).model_dump(mode="json")
    with Replica(tmp_path, storage, secure=True, encrypted=True) as running:
        yield running


def pushed(client: Client) -> tuple[str, list[str]]:
    """An image with a tag, a signature of it, and an upload that goes on; all digests of it."""
    digests = [client.push_blob(CONFIG), client.push_blob(CONTENT)]
    manifest = document(digests, annotations={"note": "an annotation that nobody should read"})
    digest = digest_of(manifest)
    assert client.put_manifest("v1", manifest).status == 201
    subject = {"mediaType": OCI_IMAGE, "digest": digest, "size": len(manifest)}
    signature = document(digests, subject=subject)
    assert client.put_manifest(digest_of(signature), signature).status == 201
    location = client.send("POST", f"/v2/{client.repository}/blobs/uploads/").location
    assert client.send("PATCH", location, CONTENT + TAIL).status == 202
    return digest, [*digests, digest, digest_of(signature)]


def document(digests: list[str], **fields: object) -> bytes:
    config, layer = (
        {"mediaType": LAYER, "digest": digest, "size": len(content)}
        for digest, content in zip(digests, (CONFIG, CONTENT), strict=True)
    )
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    image = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": config, "layers": [layer], **fields}
    return json.dumps(image).encode()


def bucket_of(folder: Path) -> str:
    return "encrypted-" + hashlib.sha256(folder.name.encode()).hexdigest()[:20]


def copied(server: S3Server, folder: Path) -> dict[str, bytes]:
    """The bucket, object for object, in memory, and as files in `copy`."""
    client, bucket = server.client(), bucket_of(folder)
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            key = entry["Key"]
            content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            found[key] = content
            file = folder / "copy" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return found


def test_the_bucket_tells_nothing(encrypted: Replica, server: S3Server, tmp_path: Path) -> None:
    """No text of a layer, a config, a manifest or an unfinished upload is in it, and no digest of any."""
    _, digests = pushed(encrypted.client())
    objects = copied(server, tmp_path)
    assert sum(map(len, objects.values())) > len(CONTENT)
    assert {"data", "blobs", "repositories", "uploads"} <= {key.split("/")[0] for key in objects}
    for file in (server.folder / "buckets" / bucket_of(tmp_path)).rglob("*"):
        if file.is_file():  # and the parts of what is not done, which no request shows
            objects[f"on the server: {file.name}"] = file.read_bytes()
    assert sum(map(len, objects.values())) > 3 * len(CONTENT)
    known = [b"nobody should read", b"mediaType", b"schemaVersion", LAYER.encode()]
    known += [hashed for digest in digests for hashed in forms(digest)]
    for key, content in objects.items():
        for text in known:
            assert text not in content, f"{text!r} in {key}"
            assert text not in key.encode(), f"{text!r} names {key}"


def forms(digest: str) -> list[bytes]:
    """A digest in hex, in capitals, and as bytes."""
    text = digest.partition(":")[2]
    return [text.encode(), text.upper().encode(), bytes.fromhex(text)]


def test_a_tenant_reads_it_without_roadstead(encrypted: Replica, server: S3Server, tmp_path: Path) -> None:
    """The program of the documentation, a copy of the bucket, and the key: the image is there."""
    client = encrypted.client()
    digest, digests = pushed(client)
    copied(server, tmp_path)
    page = Path("docs/encryption-format.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 50, "the page promises a short one"
    (tmp_path / "reader.py").write_text(program)
    key = tmp_path / "key"
    key.write_bytes(KEY)
    words = (tmp_path / "reader.py", tmp_path / "copy", key, client.repository, "v1", tmp_path / "out")
    subprocess.run([sys.executable, *map(str, words)], check=True, timeout=60)
    written = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert set(written) == {digest, *digests[:2]}
    assert written[digests[1]] == CONTENT
    for name, content in written.items():
        assert name == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_who_destroys_the_key_destroys_the_content(
    encrypted: Replica, server: S3Server, tmp_path: Path
) -> None:
    """Without the key, or with another one under its name, a replica serves nothing and says why."""
    pushed(encrypted.client())
    encrypted.kill()
    (encrypted.keys / "k1").unlink()
    for content in (None, b"another key of 32 bytes, as long"):
        if content is not None:
            (encrypted.keys / "k1").write_bytes(content)
        encrypted.launch()
        try:
            until(lambda: encrypted.lines("the storage was checked"))
            (checked,) = encrypted.lines("the storage was checked")
            assert checked["reason"] == "EncryptionKeyMissing"
            assert not encrypted.ready()
        finally:
            encrypted.kill()


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)
