"""The Secrets of an AccessToken."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

from registry_operator import names
from registry_operator.desired.access_token import render, targets, unwanted
from registry_operator.desired.rendered import identity
from registry_operator.models import Key
from registry_operator.observed import KubernetesNamespace, SecretData, TokenObserved

from registry_runtime.contract.credential import Password, token_id
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
    spoilt = SecretData({"password": b"hunter2"}, owners=frozenset({first.token.meta.uid}))
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
