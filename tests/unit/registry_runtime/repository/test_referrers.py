"""Referrers: how much is looked at for one page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_INDEX
from registry_runtime.content.name import RepositoryName
from registry_runtime.repository import referrers as module

if TYPE_CHECKING:
    import pytest

    from registry_runtime.repository import Registry

NAME = RepositoryName("team/app")
SUBJECT = Digest.of(b"subject")


async def attach(registry: Registry, number: int) -> Digest:
    subject = {"mediaType": OCI_INDEX, "digest": str(SUBJECT), "size": 7}
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}
    content = json.dumps({**document, "annotations": {"number": str(number)}}).encode()
    await registry.manifests.put(NAME, Digest.of(content), OCI_INDEX, content)
    return Digest.of(content)


async def test_a_filter_that_lets_nothing_through_reads_no_more_than_a_page(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages without an item lead on, and together they are the whole list."""
    monkeypatch.setattr(module, "LOOKED", 3)
    attached = {await attach(registry, number) for number in range(8)}
    for wanted, found in (("none/such", set[Digest]()), (None, attached)):
        last, seen, pages = None, set[Digest](), 0
        while True:
            page = await registry.referrers.list(NAME, SUBJECT, wanted, last=last)
            seen |= {item.digest for item in page.items}
            pages += 1
            if not page.more:
                break
            last = page.end
        assert (seen, pages) == (found, 3)


async def test_long_manifests_are_read_by_turns(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their bytes, too: each may have four MiB."""
    monkeypatch.setattr(module, "READ", 1)
    await attach(registry, 1)
    await attach(registry, 2)
    page = await registry.referrers.list(NAME, SUBJECT)
    assert (len(page.items), page.more, page.end) == (1, True, page.items[0].digest)
