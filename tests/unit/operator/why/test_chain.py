"""From a pod to the decision: each link that can break, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from registry_operator.desired.policy import policy, settlement
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.names import policies
from registry_operator.observed import Absence, SecretData, SecretView, Waiting
from registry_operator.why.chain import of_pod
from registry_operator.why.rights import Step, of_namespace
from registry_operator.why.seen import Container, Pod, Seen

from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import KEY, Policy
from tests.unit.operator.harbour import NOW, accounts, claim, password_secret, registry, token

IMAGE = "harbour.test/pier-one/app:v1"
POD = Pod(Key("harbour", "web"), (Container("web", IMAGE),), pull_secrets=("pull",))
KEYLESS: dict[str, Any] = {"kubernetes": {}}


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    one = {"type": kind, "status": status, "reason": reason, "message": message}
    return {"conditions": [{**one, "lastTransitionTime": "2026-11-21T00:00:00Z", "observedGeneration": 1}]}


BOUND = condition("Bound", "True", "Bound")


def pull_secret(password: str, *hosts: str) -> SecretData:
    auths = {host: {"username": "any", "password": password} for host in hosts or ("harbour.test",)}
    return SecretData({".dockerconfigjson": json.dumps({"auths": auths}).encode()})


def password_of(of: AccessToken) -> Password:
    return Password.generate(token_id(of.meta.uid))


def seen(
    *more: Namespace | AccessToken,
    of: Registry | None = None,
    secrets: Mapping[Key, SecretData] | None = None,
    refused: frozenset[str] = frozenset(),
    named: tuple[str, ...] = (),
) -> Seen:
    """Registry harbour/harbour, and what it has; without `more`, the usual claim and token."""
    made = of or registry()
    every = more or (claim(status=BOUND), token())
    return Seen(
        NOW,
        {made.key: made},
        tuple(one for one in every if isinstance(one, Namespace)),
        {one.key: one for one in every if isinstance(one, AccessToken)},
        accounts(*named),
        SecretView(secrets or {}, refused),
    )


def held(of: AccessToken, **more: Any) -> Seen:
    """As `seen`, where the pod's pull secret has the password of this token."""
    return seen(
        claim(status=BOUND), of, secrets={Key("harbour", "pull"): pull_secret(password_of(of).text)}, **more
    )


def chain(found: Seen, pod: Pod = POD) -> list[Step]:
    (steps,) = (list(one) for one in of_pod(found, pod))
    assert "rst_" not in repr(steps), "no password is ever told"
    return steps


def end(found: Seen, pod: Pod = POD) -> Step:
    return chain(found, pod)[-1]


def test_the_whole_chain() -> None:
    """Image, Registry, Secret, AccessToken, rule: each a line."""
    steps = chain(held(token()))
    assert [step.good for step in steps] == [None, True, True, True, True]
    assert [step.text for step in steps[1:4]] == [
        "harbour.test is the public domain of Registry harbour/harbour",
        "Secret harbour/pull has an entry for harbour.test",
        "its password is that of AccessToken harbour/deployer",
    ]
    assert "spec.permissions[0]: list, pull, push in pier-one/**" in steps[-1].text


def test_no_registry_has_the_host() -> None:
    """The hosts that there are."""
    pod = replace(POD, containers=(Container("web", "harbor.test/pier-one/app"),))
    found = end(seen(), pod)
    assert (found.good, found.text) == (False, "no Registry here serves harbor.test")
    assert "harbour.test, private.harbour.test" in found.remedy


def test_no_pull_secret() -> None:
    """Nobody brings one: the AccessToken's spec that does."""
    found = end(seen(), replace(POD, pull_secrets=()))
    assert found.good is False
    assert "no pull secret for harbour.test" in found.text
    assert yaml.safe_load(found.yaml) == {
        "spec": {"pullSecrets": {"namespaces": ["harbour"], "serviceAccounts": ["default"]}}
    }


def test_the_secret_is_for_another_host() -> None:
    """Which ones it is for."""
    made = token()
    secret = pull_secret(password_of(made).text, "private.harbour.test")
    steps = chain(seen(secrets={Key("harbour", "pull"): secret}))
    assert steps[2].text == "Secret harbour/pull has no entry for harbour.test (it has: private.harbour.test)"
    assert steps[-1].good is False


def test_the_secret_is_not_there() -> None:
    """Nor does anybody bring it."""
    steps = chain(seen())
    assert steps[2].text == "Secret harbour/pull of imagePullSecrets does not exist"
    assert steps[-1].good is False


def test_the_secret_may_not_be_read() -> None:
    """That is no refusal, and nothing is concluded from it."""
    steps = chain(seen(refused=frozenset({"harbour"})))
    assert (steps[-1].good, "you may not read Secret harbour/pull" in steps[-1].text) == (None, True)


def test_the_namespace_does_not_consent() -> None:
    """The condition of the AccessToken that is to bring it has the command."""
    command = "kubectl create rolebinding roadstead-secrets"
    status = condition("Distributed", "False", "TargetNotConsenting", command)
    bringing = token(pullSecrets={"namespaces": ["harbour"]}, status=status)
    found = end(seen(claim(status=BOUND), bringing), replace(POD, pull_secrets=()))
    assert (found.good, found.remedy) == (False, command)
    assert found.text.endswith("TargetNotConsenting")


def test_the_secret_is_there_and_the_pod_does_not_name_it() -> None:
    """The AccessToken can name it in the ServiceAccount by itself."""
    status = condition("Distributed", "True", "Distributed")
    bringing = token(pullSecrets={"namespaces": ["harbour"]}, status=status)
    found = end(seen(claim(status=BOUND), bringing), replace(POD, pull_secrets=(), service_account="web"))
    assert "the pod does not name it" in found.text
    assert yaml.safe_load(found.yaml) == {"spec": {"pullSecrets": {"serviceAccounts": ["web"]}}}


def test_the_pod_is_older_than_its_service_accounts_secret() -> None:
    """Kubernetes copies the names when the pod is made, and never after."""
    found = end(seen(), replace(POD, pull_secrets=(), account_secrets=("pull",)))
    assert "which the pod has not" in found.text
    assert "delete it" in found.remedy


@pytest.mark.parametrize(
    ("changes", "reason", "remedy"),
    [
        ({"suspended": True}, "TokenSuspended", "the AccessToken deployer"),
        ({"expiresAfter": "1h"}, "TokenExpired", "spec.expiresAfter"),
        ({"permissions": []}, "NotGranted", "spec.permissions of the AccessToken deployer"),
        ({"networks": ["10.0.0.0/8"]}, "NetworkNotAllowed", "spec.networks of the AccessToken deployer"),
    ],
)
def test_the_token_may_not(changes: dict[str, Any], reason: str, remedy: str) -> None:
    """By its own spec, with what to write there; its subnets are judged by the node's address."""
    found = end(held(token(**changes)), replace(POD, node_address="192.0.2.1"))
    assert found.good is False
    assert reason in found.text
    assert remedy in found.remedy


def test_what_is_missing_is_ready_to_be_written() -> None:
    """In the AccessToken of the own account, or in the Namespace of another's."""
    own = end(held(token(permissions=[])))
    assert yaml.safe_load(own.yaml) == [{"repositories": ["pier-one/app"], "actions": ["pull"]}]
    guest = token("guest", "team")
    secrets = {Key("harbour", "pull"): pull_secret(password_of(guest).text)}
    everyone = registry(allowedNamespaces={"from": "All"})
    other = end(seen(claim(status=BOUND), guest, of=everyone, secrets=secrets, named=("team",)))
    assert "OtherAccount" in other.text
    assert yaml.safe_load(other.yaml) == [
        {
            "role": "Reader",
            "repositories": ["pier-one/app"],
            "subjects": [{"accessToken": {"name": "guest", "namespace": "team"}}],
        }
    ]


def test_the_account_is_not_let_in() -> None:
    """By the Registry's owner, who alone can change it."""
    guest = token("guest", "team")
    secrets = {Key("harbour", "pull"): pull_secret(password_of(guest).text)}
    found = end(seen(claim(status=BOUND), guest, secrets=secrets, named=("team",)))
    assert "does not let the account team in" in found.text
    assert "spec.allowedNamespaces" in found.remedy


def test_the_token_is_of_another_registry() -> None:
    """The reference that is missing."""
    found = end(held(token(registryRefs=[{"name": "other"}])))
    assert "is not for Registry harbour/harbour" in found.text
    assert yaml.safe_load(found.yaml) == [{"name": "harbour", "namespace": "harbour"}]


def test_the_token_is_gone() -> None:
    """Its Secret was copied, and nobody renews it."""
    gone = password_of(token("gone"))
    found = end(seen(secrets={Key("harbour", "pull"): pull_secret(gone.text)}))
    assert f"an AccessToken that is gone (id {gone.id})" in found.text


def test_the_password_is_none_of_ours() -> None:
    """Such as one of another registry that had the name before."""
    steps = chain(seen(secrets={Key("harbour", "pull"): pull_secret("hunter2")}))
    assert "holds no password of an AccessToken" in steps[2].text
    assert "hunter2" not in repr(steps)


def test_the_password_is_an_old_one() -> None:
    """What the replicas are given can be read, and does not hold it."""
    found = end(written(pull_secret(password_of(token()).text)))
    assert "the password is none of now" in found.text


def test_the_password_of_now_is_good() -> None:
    """By the policy that the replicas are given."""
    secret, password = password_secret(token())
    assert end(written(pull_secret(password.text), secret)).good is True


def test_the_token_is_not_in_force() -> None:
    """Its condition says why."""
    issued = condition("Issued", "False", "SecretsNotPermitted", "run: kubectl create rolebinding")
    waits = token("waits", status=issued)
    found = end(written(pull_secret(password_of(waits).text), None, waits))
    assert found.text.endswith("SecretsNotPermitted")
    assert found.remedy == "run: kubectl create rolebinding"


def test_nobody_claims_the_name() -> None:
    """The Namespace to make, in the token's account."""
    found = end(seen(token(), secrets={Key("harbour", "pull"): pull_secret(password_of(token()).text)}))
    assert "NamespaceUnbound" in found.text
    assert "kind: Namespace" in found.yaml


def test_a_claim_that_is_not_bound_says_why() -> None:
    """By its own condition."""
    taken = claim(account="team", status=condition("Bound", "False", "NameTaken", "choose another"))
    secrets = {Key("harbour", "pull"): pull_secret(password_of(token()).text)}
    found = end(seen(taken, token(), secrets=secrets, named=("team",)))
    assert found.text == "Namespace team/pier-one claims pier-one, and is not bound: NameTaken"
    assert found.remedy == "choose another"


def test_only_the_private_domain_serves_it() -> None:
    """The same image by the other name can be pulled."""
    made = token()
    both = pull_secret(password_of(made).text, "harbour.test", "private.harbour.test")
    found = seen(
        claim(status=BOUND), made, of=registry(privateOnly=True), secrets={Key("harbour", "pull"): both}
    )
    assert "PrivateOnly" in end(found).text
    inside = replace(POD, containers=(Container("web", f"private.{IMAGE}"),))
    assert end(found, inside).good is True


def test_keyless() -> None:
    """The pod's ServiceAccount, where the Registry takes its word and the Namespace lets it in."""
    pod = replace(POD, pull_secrets=(), service_account="web")
    open_to = [{"role": "Reader", "subjects": [{"serviceAccount": {"name": "web"}}]}]
    made = registry(authentication=KEYLESS)
    assert end(seen(claim(status=BOUND, spec={"access": open_to}), of=made), pod).good is True
    found = end(seen(claim(status=BOUND), of=made), pod)
    assert "NotGranted" in found.text
    (entry,) = yaml.safe_load(found.yaml)
    assert entry["subjects"] == [{"serviceAccount": {"namespace": "harbour", "name": "web"}}]
    assert "no keyless pulls" in end(seen(claim(status=BOUND, spec={"access": open_to})), pod).text


def test_what_waits_comes_first() -> None:
    """Of two images that one whose pull failed."""
    failed = Container("late", "harbor.test/x", Waiting("ImagePullBackOff"))
    first, _ = of_pod(seen(), replace(POD, containers=(*POD.containers, failed)))
    assert next(first).text == "container late wants the image harbor.test/x: ImagePullBackOff"


def test_a_namespace_says_who_has_what() -> None:
    """Its own entries, and the AccessTokens of its account."""
    role = [{"role": "Reader", "subjects": [{"accessToken": {"name": "deployer"}}]}]
    made = claim(status=BOUND, spec={"access": role})
    steps = list(of_namespace(seen(made, token()), made))
    assert [step.good for step in steps] == [True, True, True]
    assert steps[1].text == "AccessToken harbour/deployer: list, pull in pier-one, pier-one/**"
    assert "of the same account: pull, push in pier-one/**" in steps[2].text


def written(pull: SecretData, password: SecretData | None = None, *more: AccessToken) -> Seen:
    """As `seen`, where the policy that was written can be read: with the password's hash, or another's."""
    made = token()
    known = {made.secret: password if password is not None else password_secret(made)[0]}
    found = seen(claim(status=BOUND), made, *more, secrets={**known, Key("harbour", "pull"): pull})
    (of,) = found.registries.values()
    observed = replace(found.observed(of), kubernetes_namespaces=accounts())
    document = policy(observed, settlement(observed))
    shards = [document, *(Policy() for _ in policies(of)[1:])]
    secrets = {
        key: SecretData({KEY: shard.encode()}, owners=(of.meta.uid,))
        for key, shard in zip(policies(of), shards, strict=True)
    }
    assert found.secrets.get(made.secret) is not Absence.MISSING
    return replace(found, secrets=SecretView({**found.secrets.found, **secrets}))
