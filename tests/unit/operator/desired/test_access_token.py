"""The Secrets of an AccessToken."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from registry_operator import names
from registry_operator.desired import rotation
from registry_operator.desired.access_token import render, targets, unwanted
from registry_operator.desired.policy import entry
from registry_operator.desired.rendered import Child, identity
from registry_operator.models import Key, Registry
from registry_operator.observed import KubernetesNamespace, Propagation, SecretData, TokenObserved

from registry_runtime.auth import credentials
from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import Policy
from tests.unit.operator.harbour import MADE, NOW, accounts, consents, placed, registry, token, view

PULLS = {"namespaces": ["shop", "harbour"]}


def seen(**spec: Any) -> TokenObserved:
    """A token of harbour, its Registry, and the namespaces shop and yard."""
    found = registry()
    return TokenObserved(
        token(**spec),
        NOW,
        registries={found.key: found},
        kubernetes_namespaces=accounts("shop", "yard"),
        secrets=view(),
        consents=consents("shop", "yard"),
    )


def test_a_password_is_made_once() -> None:
    """The Secret has user name and password of this token; what is there is kept to the byte."""
    first = seen()
    (made,) = render(first)
    values = {name: base64.b64decode(value).decode() for name, value in made["data"].items()}
    assert values["username"] == "deployer"
    assert Password.parse(values["password"]).id == token_id("uid-harbour-deployer")
    assert made["type"] == "kubernetes.io/basic-auth"
    again = replace(first, secrets=view(placed(first.token, [made])))
    assert render(again) == (made,)


def test_a_spoilt_password_is_replaced() -> None:
    """Whoever overwrites the Secret gets a new password, never one of his own choice."""
    first = seen()
    key = first.token.secret
    spoilt = SecretData({"password": b"hunter2"}, owners=(first.token.meta.uid,))
    (made,) = render(replace(first, secrets=view({key: spoilt})))
    assert base64.b64decode(made["data"]["password"]).startswith(b"rst_")


def test_a_secret_of_somebody_else_is_left_alone() -> None:
    """Neither the password nor a pull secret is written over what another made."""
    first = seen(pullSecrets=PULLS)
    assert render(replace(first, secrets=view({first.token.secret: SecretData({})}))) == ()
    children = render(replace(first, secrets=view({Key("shop", "deployer-pull"): SecretData({})})))
    assert [identity(child)[1] for child in children] == [
        Key("harbour", "deployer"),
        Key("harbour", "deployer-pull"),
    ]


def test_pull_secrets_log_in_to_both_domains() -> None:
    """A docker config with the public and the private host, found again by its label."""
    _, near, far = render(seen(pullSecrets=PULLS))
    config = json.loads(base64.b64decode(far["data"][".dockerconfigjson"]))
    assert set(config["auths"]) == {"harbour.test", "private.harbour.test"}
    entry = config["auths"]["harbour.test"]
    assert base64.b64decode(entry["auth"]).decode() == f"deployer:{entry['password']}"
    assert far["type"] == "kubernetes.io/dockerconfigjson"
    assert identity(far) == ("Secret", Key("shop", "deployer-pull"))
    assert far["metadata"]["labels"][names.OWNER_UID] == "uid-harbour-deployer"
    assert far["metadata"]["annotations"][names.OWNER] == "AccessToken harbour/deployer"
    assert "ownerReferences" not in far["metadata"]
    assert near["metadata"]["ownerReferences"][0]["uid"] == "uid-harbour-deployer"


def test_only_the_chosen_domain_stands_in_it() -> None:
    """And every host of it."""
    found = registry(exposure={"hosts": ["other.test"]})
    for domain, hosts in (("Public", {"harbour.test", "other.test"}), ("Private", {"private.harbour.test"})):
        one = seen(pullSecrets={"namespaces": ["shop"], "domains": [domain]})
        _, pull = render(replace(one, registries={found.key: found}))
        assert set(json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))["auths"]) == hosts


def test_a_registry_that_lets_the_account_in_only_later_is_no_entry_yet() -> None:
    """Nothing is distributed that nothing accepts."""
    foreign = token(account="shop", pullSecrets={"namespaces": ["shop"]})
    assert len(render(replace(seen(), token=foreign))) == 1
    found = registry(allowedNamespaces={"from": "All"})
    assert len(render(replace(seen(), token=foreign, registries={found.key: found}))) == 2


def test_targets_are_those_named_and_those_that_match() -> None:
    """A namespace that is named but not there is wanted all the same; one that goes away is not."""
    known = {
        **accounts(),
        "shop": KubernetesNamespace("shop", "1", {"team": "a"}),
        "yard": KubernetesNamespace("yard", "2", {"team": "b"}),
        "going": KubernetesNamespace("going", "3", {"team": "a"}, terminating=True),
    }
    pulls = {"namespaces": ["later", "yard"], "selector": {"matchLabels": {"team": "a"}}, "name": "regcred"}
    found = targets(replace(seen(pullSecrets=pulls), kubernetes_namespaces=known))
    assert found == (Key("later", "regcred"), Key("shop", "regcred"), Key("yard", "regcred"))


def test_what_is_wanted_no_longer_is_named() -> None:
    """A target that was taken out, another name of the pull secret or of the password Secret."""
    there = frozenset(
        {Key("harbour", "deployer"), Key("shop", "deployer-pull"), Key("yard", "deployer-pull")}
    )
    one = replace(seen(pullSecrets={"namespaces": ["shop"]}), placed=there)
    assert unwanted(one) == (Key("yard", "deployer-pull"),)
    renamed = replace(seen(secretName="robot"), placed=there)
    assert unwanted(renamed) == tuple(sorted(there))


def test_without_consent_or_while_it_goes_nothing_is_made() -> None:
    """A namespace that has not opted in keeps the whole token back; a target keeps back only itself."""
    one = seen(pullSecrets=PULLS)
    assert render(replace(one, secrets=view(refused=["harbour"]))) == ()
    assert len(render(replace(one, secrets=view(refused=["shop"])))) == 2
    assert render(seen(meta={"deletionTimestamp": MADE.isoformat()})) == ()


def test_a_key_file_says_where_it_is_good(registries: Mapping[Key, Registry]) -> None:
    """Each host of each Registry that lets the account in, once; and the password in one field."""
    refs = [{"name": name, "namespace": "harbour"} for name in ("harbour", "quay")]
    one = replace(seen(registryRefs=refs), registries=registries)
    (made,) = render(one)
    values = {name: base64.b64decode(value).decode() for name, value in made["data"].items()}
    assert json.loads(values["key.json"]) == {
        "username": "deployer",
        "password": values["password"],
        "registries": ["harbour.test", "private.harbour.test", "quay.test", "private.quay.test"],
    }
    login = credentials.password("_json_key", values["key.json"])
    assert login == credentials.Basic(values["password"])


def test_a_pull_secret_has_every_registry(registries: Mapping[Key, Registry]) -> None:
    """One password for all of them."""
    refs = [{"name": name, "namespace": "harbour"} for name in ("harbour", "quay")]
    one = replace(seen(registryRefs=refs, pullSecrets={"namespaces": ["shop"]}), registries=registries)
    _, pull = render(one)
    auths = json.loads(base64.b64decode(pull["data"][".dockerconfigjson"]))["auths"]
    assert set(auths) == {"harbour.test", "private.harbour.test", "quay.test", "private.quay.test"}
    assert len({entry["password"] for entry in auths.values()}) == 1


def quay() -> Registry:
    """Another Registry beside harbour."""
    one = registry(hostname="quay.test")
    return replace(one, meta=replace(one.meta, name="quay", uid="uid-harbour-quay"))


@pytest.fixture
def registries() -> Mapping[Key, Registry]:
    """Registries harbour and quay of namespace harbour."""
    return {one.key: one for one in (registry(), quay())}


ROTATING: dict[str, Any] = {"rotation": {"every": "1d", "overlap": "1h"}, "pullSecrets": PULLS}


def settled(one: TokenObserved, **changes: Any) -> TokenObserved:
    """The same with its Secrets written, and a policy that takes all their passwords known everywhere."""
    secrets = {**one.secrets.found, **placed(one.token, render(one))}
    known = rotation.read(one.token, secrets[one.token.secret])
    assert known is not None
    account = one.kubernetes_namespaces["harbour"]
    policy = Policy(tokens={known.current.id: entry(one.token, account, known.hashes)})
    reached = {
        key: Propagation.of(policy, policy.revision, {"pod": policy.revision}) for key in one.registries
    }
    everywhere = frozenset(one.registries)
    return replace(one, secrets=view(secrets), propagations=reached, settled=everywhere, **changes)


def given(children: Iterable[Child]) -> set[str]:
    """The passwords in what was rendered."""
    configs = [one["data"][".dockerconfigjson"] for one in children if ".dockerconfigjson" in one["data"]]
    auths = [json.loads(base64.b64decode(one))["auths"] for one in configs]
    return {entry["password"] for one in auths for entry in one.values()}


def due(**spec: Any) -> TokenObserved:
    """A token whose next password is made, known everywhere, and due."""
    first = settled(settled(seen(**{**ROTATING, **spec})), now=NOW + timedelta(days=1))
    return settled(first)


def test_the_next_password_takes_its_place_in_one_go() -> None:
    """In the token's Secret and in every pull secret; the one of before is good beside it."""
    one = due()
    before = rotation.read(one.token, one.secrets.get(one.token.secret))
    assert before is not None
    assert before.next is not None
    children = render(one)
    assert given(children) == {before.next.text}
    after = rotation.read(one.token, placed(one.token, children)[one.token.secret])
    assert after is not None
    assert (after.current, after.previous) == (before.next, before.current.sha256)
    assert after.given == ("harbour", "shop")


@pytest.mark.parametrize(
    "changes",
    [
        {"settled": frozenset()},
        {"propagations": {}},
        {"registries": {}},
        {"secrets": "shop is refused"},
    ],
)
def test_what_holds_a_rotation_up(changes: dict[str, Any]) -> None:
    """A replica that may not know it, a Registry that cannot be read, a target that cannot be reached."""
    one = due()
    if "secrets" in changes:
        changes = {"secrets": view(one.secrets.found, refused=["shop"])}
    before = one.secrets.found[one.token.secret].values["password"]
    (first, *_) = render(replace(one, **changes))
    assert base64.b64decode(first["data"]["password"]) == before


def test_a_registry_that_lets_nobody_in_holds_nothing_up() -> None:
    """It has no use for any password."""
    one, other = due(), quay()
    closed = registry(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"a": "b"}}})
    before = one.secrets.found[one.token.secret].values["password"]
    refs = [{"name": name, "namespace": "harbour"} for name in ("harbour", "quay")]
    asking = replace(
        one,
        token=token(registryRefs=refs, **ROTATING),
        registries={other.key: other, closed.key: closed},
        propagations={other.key: one.propagations[closed.key]},
        settled=frozenset({other.key}),
    )
    for _ in range(2):  # its pull secrets lose the closed Registry's hosts first
        children = render(asking)
        asking = replace(asking, secrets=view({**asking.secrets.found, **placed(asking.token, children)}))
    assert base64.b64decode(children[0]["data"]["password"]) != before


def test_who_was_never_given_a_password_holds_nothing_up() -> None:
    """A target that never consented, and one that is not there: nothing there could fail."""
    wanted = {"pullSecrets": {"namespaces": ["shop", "yard", "nowhere"]}}
    one = replace(seen(**{**ROTATING, **wanted}), secrets=view(refused=["yard"]))
    one = replace(settled(one), now=NOW + timedelta(days=1))
    refused = replace(one, secrets=view(one.secrets.found, refused=["yard"]))
    known = rotation.read(refused.token, placed(refused.token, render(refused))[refused.token.secret])
    assert known is not None
    assert known.given == ("shop",)
    assert known.next is not None


@pytest.mark.parametrize("spec", [{"suspended": True}, {"expiresAt": NOW.isoformat()}, {"rotation": None}])
def test_what_does_not_rotate_forgets_the_next_one(spec: dict[str, Any]) -> None:
    """Suspended, ended, or without rotation; the password stays what it is."""
    one = due()
    asked = {key: value for key, value in {**ROTATING, **spec}.items() if value is not None}
    (first, *_) = render(replace(one, token=token(**asked)))
    known = rotation.read(one.token, placed(one.token, [first])[one.token.secret])
    assert known is not None
    assert known.next is None
    assert (
        base64.b64decode(first["data"]["password"]) == one.secrets.found[one.token.secret].values["password"]
    )
