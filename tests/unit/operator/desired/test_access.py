"""Roles and subjects of Namespaces, as the replicas are told of them."""

from __future__ import annotations

from typing import Any

from registry_operator.desired.access import access
from registry_operator.desired.policy import policy, settlement
from registry_operator.models import Registry

from registry_runtime.contract import subject
from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Access, Action, Uses
from registry_runtime.contract.subject import KubernetesProvider, OidcProvider
from tests.unit.operator.harbour import accounts, claim, observed, password_secret, registry, token, view

FORGE = {"name": "forge", "issuer": "https://forge.test", "audience": "harbour", "userClaim": "email"}


def granted(*entries: dict[str, Any], of: Registry | None = None, **tokens: Any) -> tuple[Access, ...]:
    mine = claim(spec={"access": list(entries)})
    return access(of or registry(), mine, {one.key: one for one in tokens.values()})


def test_roles_are_actions_on_the_namespace_or_on_globs_of_it() -> None:
    """A Reader lists, a Writer does not, a Manager may do all."""
    robots: list[dict[str, Any]] = [{"serviceAccount": {}}]
    found = granted(
        {"role": "Reader", "subjects": robots},
        {"role": "Writer", "subjects": robots, "repositories": ["pier-one/web"]},
        {"role": "Manager", "subjects": robots},
    )
    assert [one.actions for one in found] == [
        {Action.PULL, Action.LIST},
        {Action.PULL, Action.PUSH, Action.DELETE},
        set(Action),
    ]
    whole = ("pier-one", "pier-one/**")
    assert [one.repositories for one in found] == [whole, ("pier-one/web",), whole]
    assert found[0].subjects == ("serviceaccount:harbour/*",)


def test_subjects_are_of_the_own_account_unless_another_is_named() -> None:
    """A token by the id that its resource has now; one that is not there, or not yet, is left out."""
    own, guest = token("own"), token("guest", account="shop")
    subjects = [
        {"accessToken": {"name": "own"}},
        {"accessToken": {"name": "guest", "namespace": "shop"}},
        {"accessToken": {"name": "guest"}},
        {"serviceAccount": {"name": "web", "namespace": "shop"}},
    ]
    (found,) = granted({"role": "Reader", "subjects": subjects}, own=own, guest=guest)
    assert found.subjects == (
        subject.token(token_id(own.meta.uid)),
        subject.token(token_id(guest.meta.uid)),
        "serviceaccount:shop/web",
    )
    assert granted({"role": "Reader", "subjects": subjects[2:3]}) == ()


def test_user_and_group_are_claims_of_their_provider() -> None:
    """Whatever the provider calls them; a provider that the Registry does not have gives nobody anything."""
    of = registry(authentication={"oidc": [FORGE]})
    asked = {"provider": "forge", "user": "*@shop.test", "group": "devs", "claims": {"ref": "main"}}
    (found,) = granted({"role": "Writer", "subjects": [{"oidc": asked}]}, of=of)
    (text,) = found.subjects
    assert subject.claims_of(text, "forge") == {"email": "*@shop.test", "groups": "devs", "ref": "main"}
    assert subject.claims_of(text, "other") is None
    assert granted({"role": "Writer", "subjects": [{"oidc": asked}]}) == ()


def test_the_policy_says_all_that_decides() -> None:
    """Providers, what is private, what a Namespace grants, and how a token may be used."""
    of = registry(
        privateOnly=True, authentication={"oidc": [FORGE], "kubernetes": {"review": True}}, hostname="h.test"
    )
    robot = token(uses=1, image={"tag": "v1", "maxBytes": 5}, networks=["10.0.0.0/8"])
    secret, _ = password_secret(robot)
    entry = {"role": "Reader", "subjects": [{"accessToken": {"name": robot.meta.name}}]}
    mine = claim(spec={"access": [entry], "privateOnly": True, "sparseIndexes": False})
    seen = observed(
        of, tokens=(robot,), namespaces=(mine,), secrets=view({robot.secret: secret}),
        kubernetes_namespaces=accounts(),
    )  # fmt: skip
    found = policy(seen, settlement(seen))
    assert found.private_only
    assert found.oidc == {
        "forge": OidcProvider(issuer="https://forge.test", audience="harbour", user="email")
    }
    assert found.kubernetes == KubernetesProvider(audience="h.test", review=True)
    (one,) = found.tokens.values()
    assert one.uses == Uses(limit=1, tag="v1", bytes=5)
    assert one.networks == ("10.0.0.0/8",)
    held = found.namespaces["pier-one"]
    assert held.private_only
    assert not held.sparse.indexes
    assert held.access[0].subjects == (subject.token(token_id(robot.meta.uid)),)
