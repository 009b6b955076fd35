"""The status of an AccessToken."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from registry_operator.checks import rotation, targets
from registry_operator.checks.finding import Finding, conditions, kept, no, progress, unknown, yes
from registry_operator.checks.sentences import conflict, listed, not_permitted
from registry_operator.claims import allowed
from registry_operator.desired.access_token import is_writable, usable
from registry_operator.desired.policy import entry, password
from registry_operator.models import AccessTokenStatus
from registry_operator.models.base import format_time
from registry_operator.observed import Absence, Conflict, TokenObserved
from registry_runtime.contract.credential import token_id

if TYPE_CHECKING:
    from registry_operator.models import AccessToken
    from registry_operator.observed import TokenActivity
    from registry_operator.settings import Settings
    from registry_runtime.contract.policy import Policy

READY, ISSUED, EXPIRING = "Ready", "Issued", "Expiring"
SOON = timedelta(days=7)  # or a fifth of its life, if that is less


def judge(observed: TokenObserved, settings: Settings) -> AccessTokenStatus:
    """The whole status. Judge after the applies: what was just written must be in `observed.secrets`."""
    token = observed.token
    issued = _issued(observed, settings)
    distributed = targets.check(observed, settings)
    ready = _ready(observed, issued, distributed)
    rotated = rotation.check(observed)
    findings = (ready, *progress(ready), issued, distributed, *([rotated] if rotated else []))
    changed = rotation.times(observed)
    last_used_at, uses_left = used(token, observed.activity)
    return AccessTokenStatus(
        observed_generation=token.meta.generation,
        conditions=conditions(
            (*findings, _expiring(observed)), token.status, token.meta.generation, observed.now
        ),
        id=token_id(token.meta.uid),
        secret_name=token.secret.name if issued.status == "True" else None,
        expires_at=token.expires,
        targets=targets.counted(observed),
        last_used_at=last_used_at,
        uses_left=uses_left,
        rotated_at=changed.rotated_at,
        rotates_at=changed.rotates_at,
    )


def is_over(observed: TokenObserved) -> bool:
    """Whether the resource itself goes now. Where Roadstead may not use Secrets it has no right to that."""
    token = observed.token
    ended = token.expires is not None and token.expires <= observed.now
    may = observed.secrets.get(token.secret) is not Absence.NOT_PERMITTED
    return ended and may and token.spec.when_expired == "Delete"


def due(observed: TokenObserved) -> datetime | None:
    """When time alone changes something: the expiry comes near or is there, or a password is. None: never."""
    expires = observed.token.expires
    ends = [] if expires is None else [expires - _warning(observed.token), expires]
    moments = [moment for moment in ends if moment > observed.now]
    turns = rotation.due(observed)
    return min(moments if turns is None else [*moments, turns], default=None)


def used(token: AccessToken, activity: TokenActivity) -> tuple[datetime | None, int | None]:
    """When it was last used, and its uses that are left; what the status says already is never taken back.

    The uses of a status that speaks of another generation may be of another limit, so they say nothing.
    """
    before, limit = token.status, token.spec.uses
    last = max((at for at in (before.last_used_at, activity.last) if at is not None), default=None)
    if limit is None:
        return last, None
    spent = [] if activity.spent is None else [activity.spent]
    if before.observed_generation < 0:
        spent.append(0)
    elif before.uses_left is not None and before.observed_generation == token.meta.generation:
        spent.append(limit - before.uses_left)
    return last, max(0, limit - max(spent)) if spent else None


def _issued(observed: TokenObserved, settings: Settings) -> Finding:
    token = observed.token
    found = observed.secrets.get(token.secret)
    if found is Absence.NOT_PERMITTED:
        return no(ISSUED, "SecretsNotPermitted", not_permitted([token.meta.namespace], settings), mend=True)
    if not is_writable(token, found):
        return no(ISSUED, "NameConflict", conflict([Conflict("Secret", token.secret)]), mend=True)
    if password(token, found) is None:
        return unknown(ISSUED, "Pending", f"Secret {token.secret} is being made")
    return yes(ISSUED, "Issued", f"Secret {token.secret} has user name and password")


def _ready(observed: TokenObserved, issued: Finding, distributed: Finding) -> Finding:
    """What is declared is in force on every replica of every Registry, and where pods need it."""
    token = observed.token
    if token.expires and token.expires <= observed.now:
        message = f"ended at {format_time(token.expires)}; delete it, or give it more time"
        return no(READY, "Expired", message, mend=True)
    if issued.status != "True":
        return Finding(READY, issued.status, issued.reason, issued.message, issued.mend)
    in_force = _admitted(observed) or _in_force(observed)
    if in_force.status != "True":
        return in_force
    if distributed.status != "True":
        return Finding(READY, distributed.status, distributed.reason, distributed.message, distributed.mend)
    return _as_declared(observed) or in_force


def _as_declared(observed: TokenObserved) -> Finding | None:
    """Why a token that is in force lets nobody in, or pushes nothing more: that was asked for."""
    if observed.token.spec.suspended:
        return yes(READY, "Suspended", "as declared: every replica refuses it")
    if used(observed.token, observed.activity)[1] == 0:
        return yes(READY, "UsesSpent", "as declared: all images of spec.uses were pushed, it pushes no more")
    return None


def _admitted(observed: TokenObserved) -> Finding | None:
    """A Registry that is not there, or does not let this account in."""
    token = observed.token
    gone = [str(key) for key in token.registries if key not in observed.registries]
    if gone:
        message = f"Registry {listed(gone)} of spec.registryRefs does not exist"
        return no(READY, "RegistryNotFound", message)
    account = observed.kubernetes_namespaces.get(token.meta.namespace)
    closed = [str(key) for key, one in observed.registries.items() if not allowed(one, account)]
    if closed:
        message = f"Registry {listed(closed)} does not let {token.meta.namespace} in"
        return no(READY, "NotAllowed", f"{message}; its owner can, by spec.allowedNamespaces", mend=True)
    return None


def _in_force(observed: TokenObserved) -> Finding:
    """A later change of the policy does not put in doubt what was once in force and is still part of it."""
    token = observed.token
    before = kept(READY, token.status, token.meta.generation)
    was = before is not None and before.status == "True"
    waiting, unsure = [], []
    for registry in usable(observed):
        reached = observed.propagations.get(registry.key)
        if reached is None:
            unsure.append(str(registry.key))
        elif not _holds(observed, reached.policy):
            waiting.append(str(registry.key))
        elif not was and not reached.everywhere:
            (unsure if reached.everywhere is None else waiting).append(str(registry.key))
    if waiting:
        return no(READY, "Propagating", f"not every replica of {listed(waiting)} knows it yet")
    if unsure:
        return before or unknown(READY, "NotReported", f"no replica of {listed(unsure)} has reported yet")
    return yes(READY, "InForce", "every replica that serves knows it")


def _holds(observed: TokenObserved, policy: Policy) -> bool:
    """Whether the policy says of the token what it says itself, and takes the password that is given out.

    What it takes beside that comes and goes with each rotation, and is no matter of what is declared.
    """
    token = observed.token
    account = observed.kubernetes_namespaces.get(token.meta.namespace)
    found = password(token, observed.secrets.get(token.secret))
    known = policy.tokens.get(token_id(token.meta.uid))
    if account is None or found is None or known is None:
        return False
    return found.sha256 in known.hashes and known == entry(token, account, known.hashes)


def _expiring(observed: TokenObserved) -> Finding:
    token = observed.token
    if token.expires is None:
        return Finding(EXPIRING, "False", "NeverExpires", "it has no end")
    end = format_time(token.expires)
    if token.expires <= observed.now:
        return Finding(EXPIRING, "True", "Expired", f"ended at {end}")
    if token.expires - _warning(token) <= observed.now:
        return Finding(EXPIRING, "True", "ExpiresSoon", f"ends at {end}")
    return Finding(EXPIRING, "False", "NotSoon", f"ends at {end}")


def _warning(token: AccessToken) -> timedelta:
    """How long before its end a token counts as expiring."""
    life = token.expires - token.meta.created if token.expires else SOON
    return max(timedelta(), min(SOON, life / 5))
