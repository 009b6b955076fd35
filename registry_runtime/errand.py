"""One piece of work on a registry's storage, beside the replicas that serve it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from registry_runtime.contract.config import RuntimeConfig
from registry_runtime.contract.policy import KEY
from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.keys import Keyring
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageError
from registry_runtime.policy import PolicyFollower
from registry_runtime.repository import Registry
from registry_runtime.storage import open_storage


class Failed(Exception):
    """It was not done; the sentence says why."""


async def collect(config: RuntimeConfig, *, preview: bool, audit: bool) -> dict[str, Any]:
    """The receipt of a collection, as JSON. Raises Failed."""
    storage = await open_storage(config.storage)
    try:
        registry = Registry(
            storage, config.limits, _now, config.owner, _vault(config), collecting=config.collection
        )
        state = await registry.check(write=False)
        if state.reason is not StorageReason.READY:
            raise Failed(state.message)
        work = registry.collection
        receipt = await work.preview(audit=audit) if preview else await work.run(audit=audit)
    except StorageError as error:
        raise Failed(error.message) from error
    finally:
        await storage.close()
    if receipt is None:
        raise Failed("another replica collects at this moment; its receipt comes when it is done")
    return receipt.fields()


def _vault(config: RuntimeConfig) -> Vault | None:
    """The tenant's keys as they are mounted, and the one in use as the mounted policy says."""
    if config.encryption is None:
        return None
    keys = Keyring(config.encryption.keys)
    keys.refresh()
    shards = {name: config.policy.directory / name / KEY for name in config.policy.secrets}
    follower = PolicyFollower(shards, start=None, changed=lambda: None)
    follower.poll()
    use = follower.policy().encryption
    if use is not None:
        keys.use(use.active, use.id)
    return Vault(keys)


def _now() -> datetime:
    return datetime.now(UTC)
