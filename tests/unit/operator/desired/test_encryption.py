"""Which of the tenant's keys encrypts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from registry_operator.desired.encryption import key_use
from registry_operator.desired.policy import in_force
from registry_operator.models import Key
from registry_operator.observed import Endpoint, RegistryObserved, SecretData

from registry_runtime.contract.policy import KeyUse, Policy
from registry_runtime.contract.state import ReplicaState
from tests.unit.operator.harbour import KEYS, encrypted, observed, running, using, view

PODS = ("harbour-0", "harbour-1", "harbour-2")
FIRST = Policy(encryption=KeyUse(active="k1", turn="first"))
SETTLED = Policy(encryption=KeyUse(active="k1", id="1" * 16, settled=True, turn="first"))
TAKEN_UP = KeyUse(active="k2", id="2" * 16, turn=SETTLED.revision)


@pytest.fixture
def harbour() -> RegistryObserved:
    """Three replicas that hold k1 and k2 and encrypt with k1, under the policy FIRST."""
    seen, _ = running(observed(encrypted(), secrets=view({Key("harbour", "keys"): KEYS})))
    return told(seen, *PODS, policy=FIRST)


def told(
    seen: RegistryObserved, *pods: str, active: str | None = "k1", policy: Policy = SETTLED, **ids: str
) -> RegistryObserved:
    """These replicas say that they encrypt with this key under this policy."""
    changed = {pod: using(known(seen, pod), active, policy.revision, **ids) for pod in pods}
    return replace(seen, replicas={**seen.replicas, **changed})


def known(seen: RegistryObserved, pod: str) -> ReplicaState:
    state = seen.replicas[pod]
    assert state
    return state


def wanting(seen: RegistryObserved, active: str) -> RegistryObserved:
    return replace(seen, registry=encrypted(active))


def with_turn(of: Policy, turn: str) -> KeyUse:
    assert of.encryption
    return of.encryption.model_copy(update={"turn": turn})


def test_without_encryption_no_key_is_named(harbour: RegistryObserved) -> None:
    """Whatever stood in the policy before."""
    assert key_use(replace(harbour, registry=observed().registry), SETTLED) is None


def test_a_new_registry_begins_with_the_declared_key() -> None:
    """Before there is a replica: it must be able to encrypt its first write."""
    assert key_use(observed(encrypted("k2")), Policy()) == KeyUse(active="k2")


def test_it_is_settled_when_every_replica_says_so_of_this_policy(harbour: RegistryObserved) -> None:
    """What a replica said of another policy may be of an earlier turn with the same key."""
    one_behind = told(harbour, "harbour-2", policy=SETTLED)
    assert key_use(one_behind, FIRST) == FIRST.encryption
    one_without = told(harbour, "harbour-2", active=None, policy=FIRST)
    assert key_use(one_without, FIRST) == FIRST.encryption
    found = key_use(harbour, FIRST)
    assert found
    assert found == with_turn(SETTLED, found.turn)


def test_what_was_settled_once_and_lost_is_another_turn(harbour: RegistryObserved) -> None:
    """The policy made anew says the same: only its Secret is another. A pass of before proves nothing now."""

    def turn(uid: str, begun: Policy = FIRST) -> str:
        made = SecretData({}, uid=uid)
        found = key_use(replace(harbour, secrets=view({Key("harbour", "harbour-policy-0"): made})), begun)
        assert found
        assert found.settled
        return found.turn

    assert turn("uid-1") == turn("uid-1")
    assert turn("uid-2") not in {turn("uid-1"), "first"}


def test_a_key_takes_over_when_every_replica_holds_it(harbour: RegistryObserved) -> None:
    """Until the last one does, the one before goes on; the change begins a new turn."""
    seen = wanting(told(harbour, *PODS), "k2")
    one_lacks = told(seen, "harbour-1", k1="1" * 16)
    assert key_use(one_lacks, SETTLED) == SETTLED.encryption
    assert key_use(seen, SETTLED) == TAKEN_UP


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize("terminating", [True, False])
def test_who_does_not_answer_holds_nothing(harbour: RegistryObserved, ready: bool, terminating: bool) -> None:
    """Not ready, ending, or cut off: it may still write to the bucket with what it has."""
    silent = Endpoint("harbour-9", "zone-a", ready=ready, terminating=terminating)
    seen = wanting(told(harbour, *PODS), "k2")
    with_one_more = replace(seen, endpoints=(*seen.endpoints, silent))
    assert key_use(with_one_more, SETTLED) == SETTLED.encryption
    unsettled = replace(harbour, endpoints=(*harbour.endpoints, silent))
    assert key_use(unsettled, FIRST) == FIRST.encryption
    asked = replace(with_one_more, replicas={**seen.replicas, "harbour-9": known(seen, "harbour-0")})
    assert key_use(asked, SETTLED) == TAKEN_UP


def test_one_name_with_two_keys_is_not_held(harbour: RegistryObserved) -> None:
    """While the Secret's change is on its way, the name may stand for another key on each replica."""
    seen = wanting(told(harbour, *PODS), "k2")
    other = told(seen, "harbour-1", k1="1" * 16, k2="3" * 16)
    assert key_use(other, SETTLED) == SETTLED.encryption
    begun = Policy(encryption=KeyUse(active="k2", turn="second"))
    everywhere = told(seen, *PODS, active="k2", policy=begun)
    split = told(everywhere, "harbour-1", active="k2", policy=begun, k1="1" * 16, k2="3" * 16)
    assert key_use(split, begun) == begun.encryption


@pytest.mark.parametrize("secret", [None, SecretData({"k1": b"1" * 32})])
def test_a_key_that_is_taken_away_again_is_not_taken_up(
    harbour: RegistryObserved, secret: SecretData | None
) -> None:
    """The replicas may hold it for a moment longer than the Secret does."""
    seen = wanting(told(harbour, *PODS), "k2")
    gone = replace(seen, secrets=view({Key("harbour", "keys"): secret} if secret else {}))
    assert key_use(gone, SETTLED) == SETTLED.encryption


def test_without_a_replica_nothing_changes(harbour: RegistryObserved) -> None:
    """Nobody is there who could have said that he holds it."""
    assert key_use(replace(wanting(harbour, "k2"), endpoints=()), SETTLED) == SETTLED.encryption
    assert key_use(replace(harbour, endpoints=()), FIRST) == FIRST.encryption


@pytest.mark.parametrize(
    ("active", "ids"), [("k2", {}), ("k1", {"k1": "9" * 16, "k2": "2" * 16})], ids=["name", "key"]
)
def test_a_replica_that_encrypts_otherwise_begins_a_new_turn(
    harbour: RegistryObserved, active: str, ids: dict[str, str]
) -> None:
    """What it writes needs another key, so no pass from before proves anything."""
    seen = told(told(harbour, *PODS), "harbour-1", active=active, policy=SETTLED, **ids)
    assert key_use(seen, SETTLED) == KeyUse(active="k1", id="1" * 16, turn=SETTLED.revision)


def test_a_key_that_is_written_over_is_not_the_one_in_use(harbour: RegistryObserved) -> None:
    """Every replica has the same new content under the name: it is still not what encrypts."""
    seen = told(harbour, *PODS, policy=SETTLED, k1="9" * 16)
    again = key_use(seen, SETTLED)
    assert again == KeyUse(active="k1", id="1" * 16, turn=SETTLED.revision)
    written = Policy(encryption=again)
    assert key_use(told(harbour, *PODS, policy=written, k1="9" * 16), written) == again


def test_a_replica_that_says_nothing_yet_changes_nothing(harbour: RegistryObserved) -> None:
    """Each rollout has new ones: their first word is that they encrypt with the key of the policy."""
    new = replace(harbour, endpoints=(*harbour.endpoints, Endpoint("harbour-9", "zone-a", ready=False)))
    assert key_use(told(new, *PODS), SETTLED) == SETTLED.encryption
    assert key_use(told(told(new, *PODS), "harbour-2", active=None), SETTLED) == SETTLED.encryption


def test_a_policy_that_was_lost_goes_on_with_what_the_replicas_do(harbour: RegistryObserved) -> None:
    """Somebody deleted its Secret while another key was declared, that one replica lacks."""
    seen = wanting(told(harbour, *PODS), "k2")
    one_lacks = told(seen, "harbour-1", k1="1" * 16)
    assert key_use(one_lacks, Policy()) == KeyUse(active="k1", turn=SETTLED.revision)
    half_way = told(one_lacks, "harbour-0", active="k2")
    assert key_use(half_way, Policy()) == KeyUse(active="k2", turn=SETTLED.revision)


def test_the_key_in_use_is_read_back_from_the_policy() -> None:
    """A restart of the operator knows nothing but what stands there."""
    seen, rendered = running(observed(encrypted(), secrets=view({Key("harbour", "keys"): KEYS})))
    assert rendered.draft.policy.encryption == in_force(seen).encryption == KeyUse(active="k1")
