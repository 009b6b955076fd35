"""What the operator knows of the cluster, and which work a change of it means. No I/O, no clocks.

Every `see…` method takes what was seen, or None for what is gone (`uid` is then the UID of that, where it
is known), and returns the work that it means; what did not change means none. A status alone, which is mostly
our own that the watch tells before its answer comes, concerns nobody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from registry_operator import names
from registry_operator.children import Child, Pod, Request, Slice
from registry_operator.departed import Departed
from registry_operator.desired.exposure import kinds_of
from registry_operator.gone import Gone
from registry_operator.models import AccessToken, Key, Namespace, Place, Registry, is_older
from registry_operator.observed import (
    Absence,
    Consent,
    KubernetesNamespace,
    Propagation,
    Reported,
    Running,
    SecretData,
    ServiceAccount,
    TokenActivity,
    Unreadable,
)
from registry_operator.queue import OWN, Kind, Work
from registry_operator.relations import (
    bundle_of,
    owner_of,
    registries_of,
    waits,
)
from registry_operator.service_accounts import ServiceAccounts
from registry_operator.settling import Settling
from registry_operator.tables import Parts, Table, Tokens, declared, unchanged
from registry_runtime.contract.state import ReplicaState

MANY = 100  # tokens of a Registry: one of them always waits


@dataclass
class Cache:
    """All that is known. Only the methods change it."""

    registries: Table[Registry] = field(default_factory=Table)
    claims: Table[Namespace] = field(default_factory=Table)
    tokens: Tokens = field(default_factory=Tokens)
    accounts: dict[str, KubernetesNamespace] = field(default_factory=dict)
    children: dict[Place, Child] = field(default_factory=dict)
    gone: Gone = field(default_factory=Gone)
    departed: Departed = field(default_factory=Departed)  # children
    pods: Parts[Pod] = field(default_factory=Parts)
    slices: Parts[Slice] = field(default_factory=Parts)
    requests: Parts[Request] = field(default_factory=Parts)
    bundles: dict[Key, Mapping[str, str] | Absence] = field(default_factory=dict)  # ConfigMaps of users
    unserved: dict[str, Absence] = field(default_factory=dict)  # kinds that the API server does not serve
    consents: dict[str, dict[str, Consent]] = field(default_factory=dict)  # by namespace, then RoleBinding
    service_accounts: ServiceAccounts = field(default_factory=ServiceAccounts)
    replicas: dict[Key, dict[str, ReplicaState]] = field(default_factory=dict)  # by Registry, then pod
    propagations: dict[Key, Propagation] = field(default_factory=dict)  # by Registry
    settling: dict[Key, Settling] = field(default_factory=dict)  # by Registry
    unreadable: dict[Work, Unreadable] = field(default_factory=dict)  # by what would reconcile it
    running: dict[Key, Running] = field(default_factory=dict)  # pods of images, by Registry
    activity: dict[str, TokenActivity] = field(default_factory=dict)  # of AccessTokens, by UID

    def table(self, kind: Kind) -> Table[Registry] | Table[Namespace] | Table[AccessToken]:
        """Of the custom resources of this kind."""
        match kind:
            case Kind.ACCESS_TOKEN:
                return self.tokens
            case Kind.NAMESPACE:
                return self.claims
            case _:
                return self.registries

    def see_registry(self, key: Key, seen: Registry | None, uid: str = "") -> set[Work]:
        """A Registry: all that names it depends on it."""
        before = self.registries.put(key, seen, uid)
        seen = self.registries.objects.get(key)
        if unchanged(before, seen):
            return set()
        if seen is None:
            self.propagations.pop(key, None)
            self.settling.pop(key, None)
            self.replicas.pop(key, None)
            self.running.pop(key, None)
        if declared(before) == declared(seen):
            return {Work(Kind.REGISTRY, *key)}
        return {*access(key), Work(Kind.REGISTRY, *key), *self._dependents(key)}

    def see_claim(self, key: Key, seen: Namespace | None, uid: str = "") -> set[Work]:
        """A Namespace: its rivals may win or lose by it."""
        before = self.claims.put(key, seen, uid)
        seen = self.claims.objects.get(key)
        if unchanged(before, seen):
            return set()
        work = {Work(Kind.NAMESPACE, *key)}
        if declared(before) == declared(seen):
            return work
        for one in filter(None, (before, seen)):
            work |= access(one.registry)
            work |= {Work(Kind.NAMESPACE, *rival.key) for rival in self.rivals(one)}
        return work

    def see_token(self, key: Key, seen: AccessToken | None, uid: str = "") -> set[Work]:
        """An AccessToken: the policies of the Registries that it names, or named."""
        before = self.tokens.put(key, seen, uid)
        seen = self.tokens.objects.get(key)
        if unchanged(before, seen):
            return set()
        if before is not None and (seen is None or seen.meta.uid != before.meta.uid):
            self.activity.pop(before.meta.uid, None)
        if declared(before) == declared(seen):
            return {Work(Kind.ACCESS_TOKEN, *key)}
        work = {Work(Kind.ACCESS_TOKEN, *key)}
        for registry in {*registries_of(before), *registries_of(seen)}:
            work |= access(registry)
        return work

    def see_activity(self, key: Key, seen: TokenActivity) -> set[Work]:
        """What the status of a token is to say of its use from now on."""
        token = self.tokens.objects.get(key)
        if token is None or self.activity.get(token.meta.uid) == seen:
            return set()
        self.activity[token.meta.uid] = seen
        return {Work(Kind.ACCESS_TOKEN, *key)}

    def see_unreadable(self, work: Work, seen: Unreadable | None, uid: str = "") -> set[Work]:
        """A resource that cannot be read. Its last good version, where there was one, stays in force."""
        before = self.unreadable.get(work)
        if seen is not None:
            self.unreadable[work] = seen
            key = Key(work.namespace, work.name)
            return {work} | self._made_again(work.kind, key, seen.uid)
        if before is None or uid not in {"", before.uid}:
            return set()
        del self.unreadable[work]
        return {work}.union(*map(access, self.registries.objects))  # nobody knows which ones it named

    def _made_again(self, kind: Kind, key: Key, uid: str) -> set[Work]:
        """Of a predecessor of the same name nothing stays."""
        match kind:
            case Kind.ACCESS_TOKEN:
                found = self.tokens.objects.get(key)
                return self.see_token(key, None) if found and found.meta.uid != uid else set()
            case Kind.NAMESPACE:
                claim = self.claims.objects.get(key)
                return self.see_claim(key, None) if claim and claim.meta.uid != uid else set()
            case _:
                registry = self.registries.objects.get(key)
                return self.see_registry(key, None) if registry and registry.meta.uid != uid else set()

    def awaits(self, work: Work) -> bool:
        """Whether somebody waits for it: no status says yet that what is declared now is so."""
        key = Key(work.namespace, work.name)
        if work.kind in (Kind.ACCESS_TOKEN, Kind.NAMESPACE):
            own = self.table(work.kind).objects.get(key)
            return own is not None and waits(own)
        registry, tokens = self.registries.objects.get(key), self.tokens.naming(key)
        if registry is None:
            return False
        return waits(registry) or len(tokens) > MANY or any(waits(one) for one in tokens.values())

    def awaited(self) -> set[Work]:
        """All work that somebody waits for, such as for what was declared while no operator was there."""
        waiting = [one for kind in OWN for one in self.table(kind).objects.values() if waits(one)]
        return {Work(Kind(one.KIND), *one.key) for one in waiting}.union(
            *(access(registry) for one in waiting for registry in registries_of(one))
        )

    def see_account(self, name: str, seen: KubernetesNamespace | None, uid: str = "") -> set[Work]:
        """A core/v1 Namespace: an account, and maybe a target of pull secrets."""
        before = self.accounts.get(name)
        if before and not seen and uid not in {"", before.uid}:
            return set()
        if before and seen and is_older(seen.resource_version, before.resource_version):
            return set()  # the sweep asked before it changed
        self.accounts.pop(name, None)
        if seen is not None:
            self.accounts[name] = seen
        if before == seen:
            return set()
        work: set[Work] = set()
        for claim in self.claims.within(name):
            work |= {Work(Kind.NAMESPACE, *claim.key), *access(claim.registry)}
        for token in self.tokens.within(name):
            work.add(Work(Kind.ACCESS_TOKEN, *token.key))
            work |= {one for registry in token.registries for one in access(registry)}
        for token in self.tokens.into(name):
            if any(one is not None and _chooses(token, one) for one in (before, seen)):
                work.add(Work(Kind.ACCESS_TOKEN, *token.key))
        return work | {Work(Kind.REGISTRY, *one.key) for one in self.registries.within(name)}

    def see_child(self, kind: str, key: Key, seen: Child | None) -> set[Work]:
        """A child of a Registry: what differs from what is wanted is repaired."""
        before = self.children.get((kind, key))
        known = before.resource_version if before else ""
        if seen and self.departed.is_late((kind, key), seen.resource_version, known):
            return set()
        self.children.pop((kind, key), None)
        if seen is not None:
            self.children[kind, key] = seen
        self._went((kind, key), before.owners if before else (), there=seen is not None)
        return set() if before == seen else works_of(before, seen)

    def see_child_gone(self, kind: str, key: Key, version: str) -> set[Work]:
        """It was gone at this version: what was written since, which only the answer told, is another."""
        before = self.children.get((kind, key))
        if before and is_older(version, before.resource_version):
            return set()
        self.departed.see((kind, key), version)
        return self.see_child(kind, key, None)

    def see_secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        """A Secret was made, changed or removed: whom that concerns `Concerns` knows."""
        self._went(("Secret", key), before.made_for if before else (), there=after is not None)

    def _went(self, place: Place, owners: tuple[str, ...], *, there: bool) -> None:
        if there:
            self.gone.forget(place)
        elif owners:
            self.gone.see(place, owners, self.accounts.get(place[1].namespace))

    def see_api(self, kind: str, seen: Absence | None) -> set[Work]:
        """Whether a kind that a cluster may lack is there (None): who wants it is looked at again."""
        before = self.unserved.pop(kind, None)
        if seen is not None:
            self.unserved[kind] = seen
        if before == seen:
            return set()
        registries = self.registries.objects.items()
        return {Work(Kind.REGISTRY, *key) for key, registry in registries if kind in kinds_of(registry)}

    def reported(self, registry: Registry) -> dict[str, Reported]:
        """Of its children with controllers of their own; of CertificateRequests the newest."""
        found: dict[str, Reported] = {}
        for kind in kinds_of(registry):
            key = names.tls(registry) if kind == "Certificate" else registry.key
            one = self.children.get((kind, key))
            found |= {kind: one.reported} if one and one.reported else {}
        if "Certificate" in found:
            requests = (one.reported for one in self.requests.of(registry.key).values())
            newest = max(requests, key=lambda one: one.made, default=None)
            found |= {"CertificateRequest": newest} if newest else {}
        return found

    def see_pod(self, key: Key, seen: Pod | None) -> set[Work]:
        return see(self.pods, key, seen)

    def see_request(self, key: Key, seen: Request | None) -> set[Work]:
        return see(self.requests, key, seen)

    def see_slice(self, key: Key, seen: Slice | None) -> set[Work]:
        return see(self.slices, key, seen)

    def see_bundle(self, key: Key, seen: Mapping[str, str] | Absence | None) -> set[Work]:
        """A ConfigMap that Registries of its namespace name; None: it is followed no longer."""
        before = self.bundles.pop(key, None)
        if seen is not None:
            self.bundles[key] = seen
        if before == seen:
            return set()
        return {
            Work(Kind.REGISTRY, *registry.key)
            for registry in self.registries.within(key.namespace)
            if bundle_of(registry) == key
        }

    def see_consent(self, key: Key, seen: Consent | None) -> Consent | None:
        """A RoleBinding by which a namespace opts in. Returns what it said before."""
        given = self.consents.setdefault(key.namespace, {})
        before = given.pop(key.name, None)
        if seen is not None:
            given[key.name] = seen
        if not given:
            del self.consents[key.namespace]
        return before

    def see_service_account(self, key: Key, seen: ServiceAccount | None) -> set[Work]:
        """A ServiceAccount: tokens that want to be named in it, and those that are."""
        news = self.service_accounts.put(key, seen)
        if not news:
            return set()
        owners = (owner_of(entry.owner) for one in news for entry in one.placed.values())
        concerned = {*self._asking(key), *filter(None, owners)}
        return {Work(Kind.ACCESS_TOKEN, *token) for token in concerned}

    def wrote_service_account(self, key: Key, written: ServiceAccount) -> set[Work]:
        """What the operator wrote itself: tokens that it does not show as they are now, and no others.

        The watch tells it as no news: who lost against this write would wait for its next try. With all whom
        it concerns, a thousand tokens on one ServiceAccount would be a million looks.
        """
        self.see_service_account(key, written)
        asking, placed = self._asking(key), written.placed
        behind, uids = set[Key](), set[str]()
        for token in asking.values():
            entry = placed.get(token.meta.uid)
            uids.add(token.meta.uid)
            if entry is None or entry.secret != token.pull_secret_name:
                behind.add(token.key)
        left = (owner_of(entry.owner) for uid, entry in placed.items() if uid not in uids)
        return {Work(Kind.ACCESS_TOKEN, *one) for one in behind.union(filter(None, left))}

    def _asking(self, service_account: Key) -> dict[Key, AccessToken]:
        """Tokens that want to be named in it."""
        account = self.accounts.get(service_account.namespace)
        if account is None:
            return {}
        asking = self.tokens.asking(service_account)
        return {token.key: token for token in asking if _chooses(token, account)}

    def see_replica(self, registry: Key, pod: str, seen: ReplicaState | None) -> set[Work]:
        """What a replica says of itself; None: it does not answer."""
        states = self.replicas.setdefault(registry, {})
        before = states.pop(pod, None)
        if seen is not None:
            states[pod] = seen
        if not states:
            del self.replicas[registry]
        return set() if before == seen else {Work(Kind.REGISTRY, *registry)}

    def see_running(self, seen: Mapping[Key, Running]) -> set[Work]:
        """Which images run, of all Registries that were there before the look."""
        news = {key for key, one in seen.items() if self.running.get(key) != one}
        self.running = {key: one for key, one in seen.items() if key in self.registries.objects}
        return {Work(Kind.REGISTRY, *key) for key in news & self.running.keys()}

    def see_propagation(self, registry: Key, seen: Propagation) -> set[Work]:
        """How far a policy has come: whom the policy changed, or who waited for it, is judged again.

        Tokens that it changed once more when that is in force everywhere: a rotation goes on then, of a
        token that is Ready all the time. So those of before that have two passwords are looked at, too.
        """
        before = self.propagations.get(registry)
        self.propagations[registry] = seen
        if before is None:
            work = self._dependents(registry)
            changed = self._named(id_ for id_, one in seen.policy.tokens.items() if len(one.hashes) > 1)
        else:
            changed = self._changed(before, seen)
            work = self._affected(registry, before, seen)
        settled = self.settling.setdefault(registry, Settling()).see(seen, changed)
        return work | {Work(Kind.ACCESS_TOKEN, *key) for key in changed | settled}

    def is_settled(self, registry: Key, token: Key) -> bool:
        """Whether every replica that serves knows what the policy says of the token."""
        found = self.settling.get(registry)
        return found is not None and token not in found

    def _affected(self, registry: Key, before: Propagation, seen: Propagation) -> set[Work]:
        """Namespaces that the policy says something else of, and all who waited for it."""
        arrived, changed = before.everywhere != seen.everywhere, before.revision != seen.revision
        old, new = (one.policy.namespaces if changed else {} for one in (before, seen))
        work = set()
        for claim in self.claims.of(registry):
            name = claim.spec.name
            if old.get(name) != new.get(name) or (arrived and waits(claim)):
                work.add(Work(Kind.NAMESPACE, *claim.key))
        if arrived:
            waiting = (token.key for token in self.tokens.of(registry) if waits(token))
            work |= {Work(Kind.ACCESS_TOKEN, *key) for key in waiting}
        return work

    def _changed(self, before: Propagation, seen: Propagation) -> set[Key]:
        """Tokens that the policy says something else of."""
        if before.revision == seen.revision:
            return set()
        old, new = before.policy.tokens, seen.policy.tokens
        # Of thousands almost all are the same objects: what those are like need not be looked at.
        others = (id_ for id_, one in new.items() if (was := old.get(id_)) is not one and was != one)
        return self._named({*others, *(old.keys() - new.keys())})

    def _named(self, ids: Iterable[str]) -> set[Key]:
        """Tokens by what the policy calls them."""
        return {token.key for token in map(self.tokens.by_id, ids) if token is not None}

    def rivals(self, claim: Namespace) -> tuple[Namespace, ...]:
        """Other Namespaces that claim the same name in the same Registry."""
        return tuple(
            other
            for other in self.claims.of(claim.registry)
            if other.spec.name == claim.spec.name and other.key != claim.key
        )

    def _dependents(self, registry: Key) -> set[Work]:
        return {Work(Kind.NAMESPACE, *claim.key) for claim in self.claims.of(registry)} | {
            Work(Kind.ACCESS_TOKEN, *token.key) for token in self.tokens.of(registry)
        }


S = TypeVar("S", Pod, Slice, Request)


def see(parts: Parts[S], key: Key, seen: S | None) -> set[Work]:
    """What `see_pod`, `see_slice` and `see_request` have in common."""
    before = parts.put(key, seen)
    return set() if before == seen else works_of(before, seen)


def works_of(*seen: Child | Pod | Slice | Request | None) -> set[Work]:
    return {Work(Kind.REGISTRY, *one.registry) for one in seen if one is not None}


def access(registry: Key) -> set[Work]:
    """The work of a changed right: the policy."""
    return {Work(Kind.POLICY, *registry)}


def _chooses(token: AccessToken, account: KubernetesNamespace) -> bool:
    """Whether it is a target of the token's pull Secrets."""
    wanted = token.spec.pull_secrets
    return wanted is not None and wanted.choose(account.name, account.labels)
