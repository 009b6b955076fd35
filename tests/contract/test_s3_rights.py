"""The rights that docs/s3.md names: enough for everything, and each of them needed."""

from __future__ import annotations

import json
import os
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.base import Place
from tests.contract.test_s3 import NAME, fresh, opened, registry_of
from tests.images import body, pull
from tests.s3_server import ACCESS, SECRET

if TYPE_CHECKING:
    from registry_runtime.contract.config import S3Storage
    from registry_runtime.storage.base import Storage
    from tests.s3_server import S3Server

DOCUMENT = Path(__file__).parents[2] / "docs" / "s3.md"
CONTENT = os.urandom(20_000_000)


def policy(bucket: str) -> dict[str, Any]:
    """The one of the document, for this bucket."""
    found = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1].replace("harbour", bucket))
    return document


def restricted(server: S3Server, folder: Path, rights: dict[str, Any], settings: S3Storage) -> S3Storage:
    """The same bucket with keys that have these rights and no others."""
    sts = boto3.client(
        "sts",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        verify=str(server.ca_file),
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )
    keys = sts.assume_role(
        RoleArn="arn:aws:iam::1:role/ignored", RoleSessionName="test", Policy=json.dumps(rights)
    )
    sts.close()
    files = {
        "accessKeyID": "AccessKeyId",
        "secretAccessKey": "SecretAccessKey",
        "sessionToken": "SessionToken",
    }
    for file, name in files.items():
        (folder / file).write_text(keys["Credentials"][name])
    return settings.model_copy(update={"credentials": folder})


async def everything(storage: Storage) -> None:
    """All that a registry does to its bucket. Raises StorageRefused."""
    registry = registry_of(storage)
    state = await registry.check()
    if state.reason is not StorageReason.READY:
        raise StorageRefused(state.message, state.reason)
    await registry.uploads.push(NAME, Digest.of(CONTENT), body(CONTENT), "me")
    assert await pull(registry, NAME, Digest.of(CONTENT)) == CONTENT
    multipart = await storage.begin("data/left")
    await storage.write(multipart, Place(1, 0, 1), [b"x"])
    assert multipart in [one.multipart for one in await storage.unfinished("data/")]
    await registry.uploads.stale.run(datetime.now(UTC) + timedelta(days=2))
    await storage.abort(multipart)
    await storage.delete([entry.key for entry in (await storage.list("")).entries])
    assert (await storage.list("")).entries == ()


async def test_they_are_enough_and_none_is_too_many(minio: S3Server, tmp_path: Path) -> None:
    """With all of them everything goes; without any one of them something is refused, and says why."""
    settings = minio.bucket(fresh(), prefix="team/")
    rights = policy(settings.bucket)
    async with opened(restricted(minio, tmp_path, rights, settings)) as storage:
        await everything(storage)
        outside = restricted(minio, tmp_path, rights, settings).model_copy(update={"prefix": "others/"})
        async with opened(outside) as other:
            with pytest.raises(StorageRefused):
                await other.get("x")
    for statement, one in enumerate(rights["Statement"]):
        for action in one["Action"]:
            fewer = deepcopy(rights)
            fewer["Statement"][statement]["Action"].remove(action)
            async with opened(restricted(minio, tmp_path, fewer, settings)) as storage:
                with pytest.raises(StorageRefused) as refused:
                    await everything(storage)
                assert refused.value.reason is StorageReason.DENIED, action
