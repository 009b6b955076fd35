"""Whom a change concerns."""

from dataclasses import replace
from typing import Any

import pytest
from registry_operator.cache import Cache
from registry_operator.desired.policy import entry
from registry_operator.models import AccessToken, AccessTokenStatus, Key
from registry_operator.observed import (
    KubernetesNamespace,
    PlacedEntry,
    Propagation,
    ServiceAccount,
)
from registry_operator.queue import Kind, Work

from registry_runtime.contract.credential import token_id
from registry_runtime.contract.policy import Policy
from tests.unit.operator import harbour

REGISTRY = Key("harbour", "harbour")


def work(*kinds: tuple[Kind, str, str]) -> set[Work]:
    return {Work(*kind) for kind in kinds}


@pytest.fixture
def cache() -> Cache:
    return harbour.known()


def newer(version: str) -> dict[str, str]:
    return {"resourceVersion": version}


def test_a_registry_concerns_all_that_names_it(cache: Cache) -> None:
    """Its policy, its children, its claims and its tokens."""
    found = cache.see_registry(REGISTRY, harbour.registry({**newer("8"), "generation": 2}))
    assert {one.kind for one in found} == set(Kind)


def test_a_status_alone_concerns_nobody_else(cache: Cache) -> None:
    """Our own, when the watch tells it before its answer comes: of a thousand names none is judged anew."""
    status: dict[str, Any] = {"observedGeneration": 1}
    registry = harbour.registry(newer("8"), status)
    assert cache.see_registry(REGISTRY, registry) == work((Kind.REGISTRY, *REGISTRY))
    claim = harbour.claim(status=status, resourceVersion="8")
    assert cache.see_claim(claim.key, claim) == work((Kind.NAMESPACE, *claim.key))
    token = harbour.token(meta=newer("8"), status=status)
    assert cache.see_token(token.key, token) == work((Kind.ACCESS_TOKEN, *token.key))
    assert cache.registries.versions() == {REGISTRY: "8"}


def test_whose_status_does_not_speak_of_it_waits(cache: Cache) -> None:
    """Of what is in force nobody does; with a token that was changed its Registry and policy are awaited."""
    said = harbour.ready()
    token = harbour.token(meta=newer("8"), status=said)
    for one in (harbour.registry(newer("8"), said), harbour.claim(status=said, resourceVersion="8"), token):
        cache.table(Kind(one.KIND)).put(one.key, one)  # type: ignore[arg-type]
    works = work((Kind.ACCESS_TOKEN, *token.key), (Kind.POLICY, *REGISTRY), (Kind.REGISTRY, *REGISTRY))
    assert cache.awaited() == set()
    assert not any(map(cache.awaits, works))
    cache.see_token(token.key, harbour.token(meta={**newer("9"), "generation": 2}, status=said))
    assert cache.awaited() == work((Kind.ACCESS_TOKEN, *token.key), (Kind.POLICY, *REGISTRY))
    assert all(map(cache.awaits, works))
    assert not cache.awaits(Work(Kind.POLICY, "harbour", "gone"))


def test_the_same_version_concerns_nobody(cache: Cache) -> None:
    """What our own write returned comes back as an event."""
    assert cache.see_registry(REGISTRY, harbour.registry()) == set()


def test_a_late_event_changes_nothing(cache: Cache) -> None:
    """A watch that lags behind a list does not bring back what was."""
    cache.see_registry(REGISTRY, harbour.registry(newer("12")))
    assert cache.see_registry(REGISTRY, harbour.registry(newer("9"))) == set()
    assert cache.registries.versions() == {REGISTRY: "12"}


def test_a_token_concerns_the_policies_that_it_names_and_named(cache: Cache) -> None:
    """Moved from one Registry to another: it leaves the first one's policy at once."""
    before = harbour.token()
    moved = replace(
        before,
        meta=replace(before.meta, resource_version="8"),
        spec=before.spec.model_validate({"registryRefs": [{"name": "other"}]}),
    )
    found = cache.see_token(before.key, moved)
    assert found >= work((Kind.POLICY, "harbour", "harbour"), (Kind.POLICY, "harbour", "other"))
    assert not list(cache.tokens.of(REGISTRY))
    assert [token.key for token in cache.tokens.of(Key("harbour", "other"))] == [before.key]


def test_a_status_concerns_no_policy(cache: Cache) -> None:
    """Our own, which the watch brings back before its answer: ten thousand tokens are not rendered for it."""
    before = harbour.token()
    written = replace(
        before, meta=replace(before.meta, resource_version="8"), status=AccessTokenStatus(id="x")
    )
    assert cache.see_token(before.key, written) == work((Kind.ACCESS_TOKEN, *before.key))
    marked = replace(written, meta=replace(written.meta, resource_version="9", annotations={"a": "b"}))
    assert Work(Kind.POLICY, *REGISTRY) in cache.see_token(before.key, marked)
    gone = replace(marked, meta=replace(marked.meta, resource_version="10", deleting=True))
    assert Work(Kind.POLICY, *REGISTRY) in cache.see_token(before.key, gone)


def test_a_deleted_token_concerns_its_policy(cache: Cache) -> None:
    """The policy's work comes with the event itself, before anything else is looked at."""
    token = harbour.token()
    assert Work(Kind.POLICY, *REGISTRY) in cache.see_token(token.key, None)


def test_a_claim_concerns_its_rivals(cache: Cache) -> None:
    """Who lost the name may have it when it becomes free."""
    rival = harbour.claim(account="second")
    cache.see_claim(rival.key, rival)
    found = cache.see_claim(harbour.claim().key, None)
    assert Work(Kind.NAMESPACE, *rival.key) in found


def test_an_account_s_labels_concern_pull_secrets_that_select_by_labels(cache: Cache) -> None:
    """Those that choose it, or chose it before; not each selector of a fleet looks at a new account."""
    choosing = harbour.token("choosing", pullSecrets={"selector": {"matchLabels": {"a": "b"}}})
    naming = harbour.token("naming", pullSecrets={"namespaces": ["new"]})
    for token in (choosing, naming):
        cache.see_token(token.key, token)
    of_naming, of_both = (
        work((Kind.ACCESS_TOKEN, *naming.key)),
        work((Kind.ACCESS_TOKEN, *choosing.key), (Kind.ACCESS_TOKEN, *naming.key)),
    )

    def labelled(**labels: str) -> KubernetesNamespace:
        return KubernetesNamespace("new", "uid-new", labels)

    assert cache.see_account("new", labelled(a="b")) == of_both
    assert cache.see_account("new", labelled(a="b")) == set()
    assert cache.see_account("new", labelled()) == of_both, "its pull Secret goes"
    assert cache.see_account("new", labelled(c="d")) == of_naming
    assert cache.see_account("new", None) == of_naming


def test_an_account_that_was_asked_for_before_it_changed_changes_nothing(cache: Cache) -> None:
    """The sweep's answer may come after the event of a label that was set meanwhile."""
    new = KubernetesNamespace("new", "uid-new", {"a": "b"}, resource_version="7")
    cache.see_account("new", new)
    assert cache.see_account("new", replace(new, labels={}, resource_version="6")) == set()
    assert cache.accounts["new"].labels == {"a": "b"}


def test_a_service_account_concerns_who_asks_for_it_and_who_is_named_in_it(cache: Cache) -> None:
    """By name in a namespace that is a target now; what a token that is gone has left wakes its end."""
    for name, team in (("app", "sea"), ("other", "land")):
        cache.see_account(name, KubernetesNamespace(name, name, {"team": team}))
    pulls = {"selector": {"matchLabels": {"team": "sea"}}, "serviceAccounts": ["web"]}
    asking = harbour.token("asking", pullSecrets=pulls)
    named = harbour.token("named", pullSecrets={"namespaces": ["other"], "serviceAccounts": ["web"]})
    for token in (asking, named):
        cache.see_token(token.key, token)
    bare = ServiceAccount("5")
    assert cache.see_service_account(Key("app", "web"), bare) == work((Kind.ACCESS_TOKEN, *asking.key))
    assert cache.see_service_account(Key("other", "web"), bare) == work((Kind.ACCESS_TOKEN, *named.key))
    assert cache.see_service_account(Key("app", "default"), bare) == set()
    assert cache.see_service_account(Key("nowhere", "web"), bare) == set()
    assert cache.see_service_account(Key("app", "web"), ServiceAccount("6")) == set()
    left = ServiceAccount("7", ("x",), {"uid": PlacedEntry("x", "AccessToken far/gone")})
    assert cache.see_service_account(Key("app", "default"), left) == work((Kind.ACCESS_TOKEN, "far", "gone"))
    cache.see_token(asking.key, None)
    assert cache.see_service_account(Key("app", "web"), None) == set()


def test_what_we_wrote_into_a_service_account_concerns_whom_it_does_not_show(cache: Cache) -> None:
    """Of a thousand tokens on one ServiceAccount each write leaves those alone that have their entry."""
    cache.see_account("app", KubernetesNamespace("app", "uid-app"))
    web, pulls = Key("app", "web"), {"namespaces": ["app"], "serviceAccounts": ["web"]}
    first, second, renamed = (
        harbour.token(name, pullSecrets=pulls) for name in ("first", "second", "renamed")
    )
    for token in (first, second, renamed):
        cache.see_token(token.key, token)

    def written(version: str, **entries: PlacedEntry) -> ServiceAccount:
        return ServiceAccount(version, tuple(one.secret for one in entries.values()), entries)

    def entry(token: AccessToken, secret: str) -> PlacedEntry:
        return PlacedEntry(secret, f"AccessToken {token.key}")

    uids = [token.meta.uid for token in (first, second, renamed)]
    one = {uids[0]: entry(first, "first-pull"), uids[2]: entry(renamed, "another-pull")}
    lost = work((Kind.ACCESS_TOKEN, *second.key), (Kind.ACCESS_TOKEN, *renamed.key))
    assert cache.wrote_service_account(web, written("7", **one)) == lost
    assert cache.see_service_account(web, written("7", **one)) == set(), "the watch tells it as no news"
    gone = {**one, "uid-before": entry(first, "first-pull")}
    left = work((Kind.ACCESS_TOKEN, *first.key))
    assert cache.wrote_service_account(web, written("8", **gone)) == lost | left
    cache.see_token(first.key, None)
    assert cache.wrote_service_account(web, written("9", **one)) == lost | left


def test_a_policy_that_moved_concerns_whom_it_changed_and_who_waits(cache: Cache) -> None:
    """Of two hundred tokens only the new one is judged again when its policy goes out."""
    claim = harbour.claim()
    policy = Policy()
    first = cache.see_propagation(REGISTRY, Propagation.of(policy, "1", {}))
    assert first == work((Kind.NAMESPACE, *claim.key), (Kind.ACCESS_TOKEN, *harbour.token().key))
    assert cache.see_propagation(REGISTRY, Propagation.of(policy, "1", {})) == set()
    arrived = cache.see_propagation(REGISTRY, Propagation.of(policy, "1", {"pod": "1"}))
    assert arrived == first  # both wait for it
    seen, rendered = harbour.running(harbour.observed(namespaces=(claim,)))
    changed = cache.see_propagation(
        REGISTRY, Propagation.of(rendered.draft.policy, rendered.draft.revision, {"pod": "1"})
    )
    assert Work(Kind.NAMESPACE, *claim.key) in changed
    assert seen.registry.key == REGISTRY


def test_a_token_is_looked_at_again_when_its_change_is_in_force(cache: Cache) -> None:
    """Also a Ready one, and also where the policy is another again before every replica had it."""
    robot, other = harbour.token(), harbour.token("other")
    for one in (robot, other):
        ready = {"type": "Ready", "status": "True", "reason": "InForce", "observedGeneration": 1}
        status = {"conditions": [{**ready, "lastTransitionTime": "2026-11-21T00:00:00Z"}]}
        meta = newer("8")
        cache.see_token(one.key, harbour.token(one.meta.name, meta=meta, status=status))
    account = harbour.accounts()["harbour"]

    def saying(revision: str, reported: str, **hashes: str) -> Propagation:
        tokens = {
            token_id(one.meta.uid): entry(one, account, tuple(hashes.get(one.meta.name, "1")))
            for one in (robot, other)
        }
        return Propagation.of(Policy(tokens=tokens), revision, {"pod": reported})

    cache.see_claim(harbour.claim().key, None)
    cache.see_propagation(REGISTRY, saying("1", "1"))
    looked = work((Kind.ACCESS_TOKEN, *robot.key))
    assert cache.see_propagation(REGISTRY, saying("2", "1", deployer="12")) == looked
    assert not cache.is_settled(REGISTRY, robot.key)
    both = {"deployer": "12", "other": "12"}
    cache.see_propagation(REGISTRY, saying("3", "1", **both))
    assert cache.see_propagation(REGISTRY, saying("3", "2", **both)) == looked
    assert cache.is_settled(REGISTRY, robot.key)
    assert not cache.is_settled(REGISTRY, other.key)

    after = Cache()  # of another operator: it looks at those with two passwords when they are in force
    after.see_registry(REGISTRY, harbour.registry())
    for one in (robot, other):
        after.see_token(one.key, one)
    assert not after.is_settled(REGISTRY, robot.key)
    after.see_propagation(REGISTRY, saying("3", "2", deployer="12"))
    assert not after.is_settled(REGISTRY, robot.key)
    after.see_propagation(REGISTRY, saying("3", "3", deployer="12"))
    assert after.is_settled(REGISTRY, robot.key)
    after.see_registry(REGISTRY, None)
    assert not after.is_settled(REGISTRY, robot.key)


def test_the_late_deletion_of_a_predecessor_takes_nothing_from_its_successor(cache: Cache) -> None:
    """DELETED of the old object after ADDED of the new one: another UID."""
    robot, berth = harbour.token(), harbour.claim()
    assert cache.see_token(robot.key, None, "uid-old") == set()
    assert cache.see_claim(berth.key, None, "uid-old") == set()
    assert cache.see_registry(REGISTRY, None, "uid-old") == set()
    assert cache.see_account("harbour", None, "uid-old") == set()
    assert (len(cache.tokens.objects), len(cache.claims.objects), len(cache.registries.objects)) == (1, 1, 1)
    assert cache.see_token(robot.key, None, robot.meta.uid)
    assert not cache.tokens.objects


def test_of_replicas_that_are_gone_nothing_is_left() -> None:
    """Over years many Registries come and go."""
    cache, key = Cache(), Key("harbour", "harbour")
    work = {Work(Kind.REGISTRY, *key)}
    assert cache.see_replica(key, "pod-a", harbour.state("pod-a", "1")) == work
    assert cache.see_replica(key, "pod-a", None) == work
    assert cache.see_replica(key, "pod-a", None) == set()
    assert cache.replicas == {}
