"""ServiceAccounts that name pull secrets: read, and written only if nobody wrote them since."""

import logging
from collections.abc import Iterable

from registry_operator import seen
from registry_operator.cluster.resources import SERVICE_ACCOUNTS
from registry_operator.desired.service_accounts import Edit, edit, edits
from registry_operator.errors import NotFound, NotPermitted
from registry_operator.models import AccessToken, Key
from registry_operator.queue import Kind, Work
from registry_operator.reconcile.apply import changed_by, tell
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.every import every

LIST = (("imagePullSecrets",),)
log = logging.getLogger(__name__)


async def name(at: Context, token: AccessToken) -> None:
    """As the token wants it. Raises ClusterError; WriteConflict where a ServiceAccount changed meanwhile."""
    await _write(at, edits(at.observe_token(token)), token)


async def forget(at: Context, uid: str, keys: Iterable[Key]) -> None:
    """Takes out what a token that is gone had placed. Raises ClusterError."""
    found, refused = at.cache.service_accounts.objects, at.secrets.view.refused
    made = [edit(found, key, uid, None) for key in sorted(keys) if key.namespace not in refused]
    await _write(at, [one for one in made if one is not None])


async def _write(at: Context, wanted: Iterable[Edit], token: AccessToken | None = None) -> None:
    """All at a time. The first error is raised when every one has ended."""
    await every(_patch(at, one, token) for one in wanted)


async def _patch(at: Context, one: Edit, token: AccessToken | None) -> None:
    drift = await changed_by(at, SERVICE_ACCOUNTS, one.key, LIST) if token and one.is_repair else None
    try:
        answer = await at.cluster.merge(SERVICE_ACCOUNTS, *one.key, one.patch, one.seen)
    except NotFound:
        return
    except NotPermitted as error:
        if one.placed is not None:
            raise
        # The namespace takes nothing any more. When it does again, the sweep takes the entry out.
        told = {"service_account": str(one.key), "error": error.message}
        log.info("the entry of a pull secret is left", extra=told)
        return
    for work in at.cache.wrote_service_account(one.key, seen.service_account(answer)):
        if token is None or work != Work(Kind.ACCESS_TOKEN, *token.key):
            at.queue.add(work)
    fields = {"service_account": str(one.key), "names": one.placed is not None}
    log.info("pull secret of a service account", extra=fields)
    if token:
        tell(at, token, drift)
