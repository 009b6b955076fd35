"""What replicas refused, in words: for the owner of the AccessToken, and for the owner of the Namespace.

The reasons are those of the runtime's decision (docs/access.md). The owner of a token learns no more of other
accounts' names than its client did; the owner of a Namespace learns of another account's token its id only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.contract.policy import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_operator.models import AccessToken, Namespace
    from registry_runtime.contract.activity import Refusal

EVENTS: Mapping[Action | None, str] = {
    Action.PULL: "PullDenied",
    Action.PUSH: "PushDenied",
    Action.DELETE: "DeleteDenied",
    Action.LIST: "ListDenied",
    None: "LoginDenied",
}
OF_TOKENS: Mapping[str, str] = {
    "TokenSuspended": "set spec.suspended to false",
    "TokenExpired": "give it more time by spec.expiresAt or spec.expiresAfter, or make a new one",
    "NetworkNotAllowed": "the client's address is in none of spec.networks",
    "UsesSpent": "it has pushed as many images as spec.uses lets it: make a new one",
    "UsesTaken": "another push has its last use: if that fails, it is free again after minutes",
    "UsesBound": "spec.image binds its uses to another repository or tag, or to fewer bytes",
    "UsesDeleteNothing": "a token with spec.uses deletes nothing: use another",
    "TagNotNew": "a use pushes one new tag: choose a tag that is not there",
    "PrivateOnly": "use the private host name",
    "NotGranted": "spec.permissions do not cover it",
    "Reserved": "the registry keeps this name for the checks that it makes of itself: use another",
}
_ELSEWHERE = frozenset({"OtherAccount", "NamespaceUnbound"})
_NOWHERE = "no Namespace of this account has that name, and no other gives this AccessToken a role"
OF_NAMESPACES: Mapping[str, str] = {
    "CredentialsMissing": "log in; a pod needs a pull secret, or a kubelet that has credentials",
    "TokenUnknown": "take the password of now from the Secret of an AccessToken",
    "OtherAccount": "if it should be allowed, give it a role in spec.access",
    "NotGranted": "if it should be allowed, widen spec.permissions of the AccessToken, or its role here",
    "PrivateOnly": "use the private host name",
    "IdTokenRefused": "no issuer of spec.authentication of the Registry signed it",
    "IdTokenExpired": "it has ended: the issuer gives another",
    "IdTokenNotYetValid": "it begins later: compare the clocks of its issuer and of the cluster",
    "IdTokenForOthers": "it must be for an audience of spec.authentication of the Registry",
    "IdTokenClaims": "its claims are not those of spec.authentication of the Registry",
    "IdTokenRevoked": "its pod or its ServiceAccount is gone",
}


def to_token(refusal: Refusal) -> str | None:
    """What the owner of the AccessToken reads; None where that is no affair of the token's.

    Whether a name belongs to another account or to nobody reads the same.
    """
    if refusal.reason in _ELSEWHERE:
        return _sentence(refusal, "", "NotGranted", _NOWHERE)
    remedy = OF_TOKENS.get(refusal.reason)
    return None if remedy is None else _sentence(refusal, "", refusal.reason, remedy)


def to_namespace(refusal: Refusal, namespace: Namespace, token: AccessToken | None) -> str | None:
    """What the owner of the Namespace reads; None where the reason lies in the AccessToken itself."""
    remedy = OF_NAMESPACES.get(refusal.reason)
    if remedy is None:
        return None
    return _sentence(refusal, f" to {_who(refusal, namespace, token)}", refusal.reason, remedy)


def _who(refusal: Refusal, namespace: Namespace, token: AccessToken | None) -> str:
    if token is not None and token.meta.namespace == namespace.meta.namespace:
        return f"AccessToken {token.meta.name}"
    if refusal.token is not None:
        return f"an AccessToken of another account (id {refusal.token})"
    if refusal.provider:
        return f"somebody for whom {refusal.provider} vouches"
    if refusal.reason.startswith("IdToken"):
        return "somebody with an ID token"
    return "somebody with a wrong password" if refusal.reason == "TokenUnknown" else "nobody in particular"


def _sentence(refusal: Refusal, who: str, reason: str, remedy: str) -> str:
    what = f"{refusal.action} of {refusal.repository}" if refusal.action is not None else "login"
    return f"{what} by the {refusal.endpoint} domain was refused{who}: {reason}; {remedy}"
