"""AccessToken: the password, the pull secrets, and when it ends."""

from datetime import datetime

from registry_operator import names
from registry_operator.checks import access_token as checks
from registry_operator.cluster.resources import SECRETS
from registry_operator.desired.access_token import render, unwanted
from registry_operator.models import AccessToken, Key
from registry_operator.observed import Absence
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import status
from registry_operator.reconcile.apply import apply, apply_all, remove
from registry_operator.reconcile.context import Context

LATER = 0.15  # seconds


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
    # A namespace that is named before it is made brings its token back by itself.
    rendered = render(observed)
    children = [child for child in rendered if child["metadata"]["namespace"] in at.cache.accounts]
    there = at.secrets.view.get(token.secret)
    conflict = await apply(at, token, children[0]) if children else None  # the password comes first
    if children and there is Absence.MISSING and not conflict:
        at.queue.add_after(Work(Kind.ACCESS_TOKEN, *key), LATER)
        return  # of many new tokens all get into the policy before the first one's status is written
    conflicts = [conflict] if conflict else await apply_all(at, token, children[1:])
    for gone in unwanted(observed):
        await remove(at, "Secret", gone, token)
    token = at.cache.tokens.objects.get(key)
    if token is None:
        return
    observed = at.observe_token(token, conflicts)
    remind(at, token, checks.due(observed))
    await status.write(at, token, checks.judge(observed, at.settings))


async def forget(at: Context, key: Key) -> None:
    """Deletes what a token that is gone has left; in its own namespace the garbage collector does so, too."""
    owners = frozenset(token.meta.uid for token in at.cache.tokens.objects.values())
    for secret, data in at.secrets.strays(owners).items():
        if data.annotations.get(names.OWNER) == f"{AccessToken.KIND} {key}":
            await at.cluster.delete(SECRETS, *secret, data.uid)


def remind(at: Context, token: AccessToken, due: datetime | None) -> None:
    """Comes back when time alone changes something."""
    work = Work(Kind.ACCESS_TOKEN, *token.key)
    if due is not None:
        at.queue.add_after(work, max(0.05, (due - at.now()).total_seconds()))
