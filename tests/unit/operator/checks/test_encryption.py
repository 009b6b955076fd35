"""EncryptionReady, and what the status says of the keys."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.models import Condition, HeldKey, Key, RegistryStatus, Rewrapping
from registry_operator.observed import Endpoint, RegistryObserved, SecretData

from registry_runtime.contract import state
from registry_runtime.contract.policy import KEY, KeyUse, Policy
from tests.unit.operator.harbour import (
    KEYS,
    NOW,
    SETTINGS,
    encrypted,
    observed,
    registry,
    running,
    using,
    view,
)

SECRET = Key("harbour", "keys")
IDS = {"k1": "1" * 16, "k2": "2" * 16}


def harbour(use: KeyUse, declared: str = "k1", ids: Mapping[str, str] = IDS) -> RegistryObserved:
    """Three replicas that hold these keys and encrypt with the one of the policy in force."""
    seen, _ = running(observed(encrypted(declared), secrets=view({SECRET: KEYS})))
    found = dict(seen.secrets.found)
    shard = Key("harbour", "harbour-policy-0")
    policy = Policy(encryption=use)
    found[shard] = replace(found[shard], values={KEY: policy.encode()})
    seen = replace(seen, secrets=replace(seen.secrets, found=found))
    states = {
        pod: one and using(one, use.active, policy.revision, **ids) for pod, one in seen.replicas.items()
    }
    return replace(seen, replicas=states)


def secret(seen: RegistryObserved, values: Mapping[str, bytes] | None) -> RegistryObserved:
    """The Secret of the keys holds these, or is not there."""
    found = {key: data for key, data in seen.secrets.found.items() if key != SECRET}
    found |= {SECRET: SecretData(values)} if values is not None else {}
    return replace(seen, secrets=replace(seen.secrets, found=found))


def keys(seen: RegistryObserved, pod: str, **changes: Any) -> RegistryObserved:
    """What one replica says of the keys is changed."""
    before = seen.replicas[pod]
    assert before
    assert before.encryption
    after = before.model_copy(update={"encryption": before.encryption.model_copy(update=changes)})
    return replace(seen, replicas={**seen.replicas, pod: after})


def passed(seen: RegistryObserved, pod: str = "harbour-1", **changes: Any) -> RegistryObserved:
    """One replica made a pass of the turn "now" for k1, and left nothing."""
    made = state.Rewrapping(key=IDS["k1"], turn="now", began=NOW, examined=12345, rewrapped=6789, done=True)
    return keys(seen, pod, rewrapping=made.model_copy(update=changes))


def status(seen: RegistryObserved) -> RegistryStatus:
    return judge(seen, render(seen, SETTINGS), SETTINGS)


def ready(seen: RegistryObserved) -> Condition:
    found = status(seen).condition("EncryptionReady")
    assert found
    return found


SETTLED = KeyUse(active="k1", id=IDS["k1"], settled=True, turn="now")


def test_a_registry_without_encryption_says_nothing_of_keys() -> None:
    """Neither a condition nor a field."""
    found = status(running(observed(registry()))[0])
    assert found.condition("EncryptionReady") is None
    assert found.encryption is None


def test_one_key_encrypts_and_is_named() -> None:
    """By its name and its id; the Registry is ready."""
    found = status(secret(harbour(SETTLED), {"k1": b"1" * 32}))
    condition = found.condition("EncryptionReady")
    assert condition
    assert (condition.status, condition.reason) == ("True", "Active")
    assert condition.message == "k1 (id 1111111111111111) encrypts"
    assert found.encryption
    assert found.encryption.active == HeldKey(name="k1", id="1" * 16)


@pytest.mark.parametrize(
    ("values", "reason", "sentence"),
    [
        (None, "SecretNotFound", "does not exist; create it with k1, and every key before it"),
        ({}, "SecretKeyMissing", "lacks k1"),
        ({"k2": b""}, "SecretKeyMissing", "lacks k1"),
    ],
)
def test_a_missing_key_is_the_tenants_to_mend(
    values: dict[str, bytes] | None, reason: str, sentence: str
) -> None:
    """The condition names the Secret and the key; the Registry is stalled, not on its way."""
    seen = secret(harbour(SETTLED), values)
    condition = ready(seen)
    assert (condition.status, condition.reason) == ("False", reason)
    assert f"Secret harbour/keys of spec.encryption.keySecretRef {sentence}" in condition.message
    stalled = status(seen).condition("Stalled")
    assert stalled
    assert (stalled.status, stalled.reason) == ("True", reason)


def test_the_key_before_is_missed_until_another_encrypts() -> None:
    """Who declares k2 and takes k1 away in one go is told so: k1 still encrypts."""
    one_lacks = keys(harbour(SETTLED, "k2"), "harbour-1", keys={"k1": "1" * 16})
    condition = ready(secret(one_lacks, {"k2": b"2" * 32}))
    assert condition.reason == "SecretKeyMissing"
    assert condition.message.endswith("lacks k1")


def test_without_consent_the_command_is_said() -> None:
    """As of every Secret."""
    seen = harbour(SETTLED)
    refused = replace(seen, secrets=replace(seen.secrets, refused=frozenset({"harbour"})))
    assert ready(refused).reason == "SecretsNotPermitted"
    assert "kubectl create rolebinding" in ready(refused).message


def test_an_unusable_key_is_named_as_the_replica_does() -> None:
    """What a key must look like is the runtime's to say."""
    seen = keys(harbour(SETTLED), "harbour-1", problem="the key k2 cannot be used: it has to have 32 bytes")
    condition = ready(seen)
    assert (condition.status, condition.reason) == ("False", "KeyInvalid")
    assert "the key k2 cannot be used" in condition.message


def test_a_key_that_is_written_over_is_to_be_put_back() -> None:
    """Both are named by their ids; it is no new key, for that has a new name."""
    seen = harbour(SETTLED, ids={"k1": "9" * 16})
    condition = ready(seen)
    assert (condition.status, condition.reason) == ("False", "KeyInvalid")
    assert "k1 (id 9999999999999999) is another key than the one that encrypts" in condition.message
    assert "(id 1111111111111111); put that one back" in condition.message


def test_who_lacks_the_declared_key_is_named() -> None:
    """The key before goes on; one that does not answer is named as such."""
    seen = keys(harbour(SETTLED, "k2"), "harbour-1", keys={"k1": "1" * 16})
    silent = Endpoint("harbour-9", "zone-a", ready=False)
    condition = ready(replace(seen, endpoints=(*seen.endpoints, silent)))
    assert (condition.status, condition.reason) == ("False", "KeyNotHeldYet")
    assert condition.message == (
        "k1 encrypts until every replica holds the same k2: not yet harbour-1, harbour-9 (does not answer)"
    )
    other = keys(harbour(SETTLED, "k2"), "harbour-1", keys={"k1": "1" * 16, "k2": "3" * 16})
    assert ready(other).message.endswith("they hold different ones (2222222222222222, 3333333333333333)")


def test_a_switch_is_ready_when_every_replica_has_made_it() -> None:
    """Before that the condition names who has not."""
    begun = harbour(KeyUse(active="k2", turn="now"), "k2")
    behind = keys(begun, "harbour-2", active="k1")
    assert (ready(behind).status, ready(behind).reason) == ("False", "Propagating")
    assert ready(behind).message == "every replica is to encrypt with k2: not yet harbour-2"
    assert (ready(begun).status, ready(begun).reason) == ("True", "Rewrapping")
    known = harbour(KeyUse(active="k2", id=IDS["k2"], turn="now"), "k2")
    other = keys(known, "harbour-0", keys=IDS | {"k2": "9" * 16})
    assert ready(other).message == "every replica is to encrypt with k2: not yet harbour-0"


def test_progress_is_told_in_round_figures() -> None:
    """The status is not written for each record; what is done is told exactly."""
    seen = harbour(SETTLED)
    going = status(passed(seen, done=False, left=3)).encryption
    assert going
    assert going.rewrapping == Rewrapping(examined=12000, rewrapped=6700, left=3, done=False)
    assert going.removable == ()
    done = status(passed(seen)).encryption
    assert done
    assert done.rewrapping == Rewrapping(examined=12345, rewrapped=6789, left=0, done=True)


def test_a_key_that_nothing_needs_may_be_removed() -> None:
    """After a pass that left nothing; the condition and the status name it."""
    found = status(passed(harbour(SETTLED)))
    condition = found.condition("EncryptionReady")
    assert condition
    assert (condition.status, condition.reason) == ("True", "KeyRemovable")
    assert "nothing in the storage needs k2: remove from the Secret" in condition.message
    assert found.encryption
    assert found.encryption.removable == ("k2",)


@pytest.mark.parametrize(
    "changes",
    [{"done": False}, {"left": 1}, {"turn": "before"}, {"key": IDS["k2"]}],
    ids=lambda one: next(iter(one)),
)
def test_no_other_pass_proves_that(changes: dict[str, Any]) -> None:
    """Not one that goes on, left something, is of another turn, or for another key."""
    found = status(passed(harbour(SETTLED), **changes))
    assert found.encryption
    assert found.encryption.removable == ()
    condition = found.condition("EncryptionReady")
    assert condition
    assert condition.reason == "Rewrapping"


def test_nothing_may_be_removed_while_a_replica_is_silent() -> None:
    """It may hold, and write with, what nobody knows of."""
    seen = passed(harbour(SETTLED))
    silent = Endpoint("harbour-9", "zone-a", ready=False)
    assert ready(replace(seen, endpoints=(*seen.endpoints, silent))).reason == "Rewrapping"


def test_what_was_known_outlives_a_restart() -> None:
    """Before the first replica was asked again, condition and status say what they said."""
    seen = passed(harbour(SETTLED))
    before = status(seen)
    again = replace(seen, registry=replace(seen.registry, status=before), replicas={})
    assert ready(again).reason == "KeyRemovable"
    assert status(again).encryption == before.encryption
    new = replace(seen, replicas={})
    assert (ready(new).status, ready(new).reason) == ("Unknown", "NotReported")


def test_a_status_with_keys_is_stable() -> None:
    """Read back from the API and judged again it is the same."""
    seen = passed(harbour(SETTLED))
    first = status(seen)
    read = encrypted(status=first.document())
    assert read.status == first
    assert status(replace(seen, registry=read)) == first


def test_no_key_is_in_what_is_said_or_made() -> None:
    """Neither in children nor in the status, in any form that a key may have."""
    key = bytes(range(1, 33))
    forms = (key, key.hex().encode(), base64.b64encode(key))
    seen = secret(harbour(SETTLED), dict(zip(("k1", "k2", "k3"), forms, strict=True)))
    rendered = render(seen, SETTINGS)
    said = repr((rendered, judge(seen, rendered, SETTINGS).document(), seen))
    for form in forms:
        assert repr(form)[2:-1] not in said
        assert base64.b64encode(form).decode() not in said
