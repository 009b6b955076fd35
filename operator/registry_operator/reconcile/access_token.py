"""AccessToken: the password, the pull secrets, and when it ends."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

from registry_operator import names
from registry_operator.checks import access_token as checks
from registry_operator.cluster.resources import ACCESS_TOKENS, SECRETS
from registry_operator.desired.access_token import render, unwanted
from registry_operator.errors import NotFound, WriteConflict
from registry_operator.events import Note
from registry_operator.models import AccessToken, Key
from registry_operator.models.base import format_time
from registry_operator.observed import Absence, SecretData
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import service_accounts, status
from registry_operator.reconcile.apply import apply, apply_all, remove
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.every import every
from registry_operator.relations import owner_of

LATER = 0.15  # seconds
log = logging.getLogger(__name__)


async def reconcile(at: Context, key: Key) -> None:
    """Raises ClusterError and RenderFailed."""
    token = at.cache.tokens.objects.get(key)
    if token is None:
        await forget(at, key)
        return
    if token.meta.deleting or not at.is_open(key.namespace):
        return
    if not at.known(token):
        return  # `consent` brings it back when the last of them has answered
    observed = at.observe_token(token)
    if checks.is_over(observed):
        await end(at, token)
        return
    # A namespace that is named before it is made brings its token back by itself.
    rendered = render(observed)
    children = [child for child in rendered if child["metadata"]["namespace"] in at.cache.accounts]
    there = at.secrets.view.get(token.secret)
    conflict = await apply(at, token, children[0]) if children else None  # the password comes first
    if children and there is Absence.MISSING and not conflict:
        at.queue.add_after(Work(Kind.ACCESS_TOKEN, *key), LATER)
        return  # of many new tokens all get into the policy before the first one's status is written
    try:
        if not conflict:
            await apply_all(at, token, children[1:])
    finally:  # what may not be there goes, whatever one target keeps from being written
        removals = (remove(at, "Secret", gone, token) for gone in unwanted(observed))
        await every([service_accounts.name(at, token), *removals])
    token = at.cache.tokens.objects.get(key)
    if token is None:
        return
    observed = at.observe_token(token)
    remind(at, token, checks.due(observed))
    await status.write(at, token, checks.judge(observed, at.settings))


async def end(at: Context, token: AccessToken) -> None:
    """Deletes the resource itself, unless somebody changed it meanwhile; what it made goes with it."""
    try:
        await at.cluster.delete(ACCESS_TOKENS, *token.key, token.meta)
    except WriteConflict:
        return  # the watch tells what it is now
    ended = f"deleted, as spec.whenExpired says: it ended at {format_time(token.expires or at.now())}"
    at.recorder.record(token, [Note("Normal", "Expired", "Delete", ended)])
    log.info("token deleted at its end", extra={"token": str(token.key)})


async def forget(at: Context, key: Key | None = None) -> None:
    """Deletes what a token that is gone has left: of this name, or of any.

    Raises the first ClusterError when all was tried: what one namespace keeps, no other has to.
    """
    tokens = frozenset(token.meta.uid for token in at.cache.tokens.objects.values())
    secrets, lists = at.secrets.strays(tokens), at.cache.service_accounts.strays(tokens)
    owners = {*map(owner_in, secrets.values()), *lists}
    if key is not None:
        owners = {owner for owner in owners if owner[0] == f"{AccessToken.KIND} {key}"}
    mine: dict[tuple[str, str], dict[Key, SecretData]] = {owner: {} for owner in owners}
    for secret, data in secrets.items():
        if (owner := owner_in(data)) in mine:
            mine[owner][secret] = data
    await every(_forget(at, owner, lists.get(owner, ()), left) for owner, left in mine.items())


async def _forget(
    at: Context, owner: tuple[str, str], lists: Iterable[Key], secrets: Mapping[Key, SecretData]
) -> None:
    if await is_gone(at, *owner):
        removals = (_delete(at, secret, data) for secret, data in secrets.items())
        await every([service_accounts.forget(at, owner[1], lists), *removals])


async def _delete(at: Context, secret: Key, data: SecretData) -> None:
    await at.cluster.delete(SECRETS, *secret, data)
    log.info("leftover deleted", extra={"secret": str(secret)})


def owner_in(data: SecretData) -> tuple[str, str]:
    """Whose a Secret is, by its annotation and its label: name and UID belong together."""
    return data.annotations.get(names.OWNER, ""), data.labels[names.OWNER_UID]


async def is_gone(at: Context, owner: str, uid: str) -> bool:
    """Asked of the API server itself: a Secret is not deleted by what a cache does not know.

    A token that cannot be read is not in the cache, and still needs its passwords.
    """
    key = owner_of(owner)
    if key is None:
        return False  # nothing of ours, whatever its label says
    try:
        found = await at.cluster.get(ACCESS_TOKENS, *key)
    except NotFound:
        return True
    return bool(found["metadata"].get("uid") != uid)


def remind(at: Context, token: AccessToken, due: datetime | None) -> None:
    """Comes back when time alone changes something."""
    work = Work(Kind.ACCESS_TOKEN, *token.key)
    if due is not None:
        at.queue.add_after(work, max(0.05, (due - at.now()).total_seconds()))
