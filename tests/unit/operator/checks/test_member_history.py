"""The lives of a Namespace and an AccessToken: whatever happens, their statuses never say more than is so."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from registry_operator.checks import access_token, failure, namespace
from registry_operator.desired.access_token import render
from registry_operator.errors import NameConflict, NotFound, OperatorError, Unavailable, WriteConflict
from registry_operator.models import AccessToken, AccessTokenStatus, Key, Namespace, NamespaceStatus
from registry_operator.models.base import format_time
from registry_operator.observed import (
    KubernetesNamespace,
    NamespaceObserved,
    Propagation,
    SecretData,
    SecretView,
    TokenObserved,
)

from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Policy
from tests.unit.operator.harbour import (
    NOW,
    SETTINGS,
    accounts,
    claim,
    consents,
    observed,
    placed,
    registry,
    running,
    token,
)
from tests.unit.operator.told import Told

REGISTRY = registry()
PODS = ("harbour-0", "harbour-1")
PASSING = (Unavailable, WriteConflict, NotFound)
ERRORS = st.sampled_from([kind("it did not work") for kind in (*PASSING, NameConflict)])
MINE, PULL = Key("harbour", "deployer"), Key("shop", "deployer-pull")


class History(RuleBasedStateMachine):
    """`policy` is what the Registry's reconcile wrote last, `has` what each replica has in force."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.claim, self.token = Told(), Told()
        self.there = True  # the Registry
        self.account = "uid-of-harbour"
        self.claims: dict[str, str] = {}
        self.private, self.suspended, self.ends = False, False, False
        self.secrets: dict[Key, SecretData] = {}
        self.refused: set[str] = set()
        self.takes = True
        self.policy: Policy | None = None
        self.has: dict[str, str] = dict.fromkeys(PODS, "")
        self.asked: set[str] = set()
        self.was: dict[str, tuple[int, str]] = {}  # generation and password, once in force everywhere

    # What users do.

    @rule(private=st.booleans())
    def edit_the_namespace(self, private: bool) -> None:
        self.private = private
        self.claim.generation += 1

    @rule(suspended=st.sampled_from([False, False, True]), ends=st.sampled_from([False, False, True]))
    def edit_the_token(self, suspended: bool, ends: bool) -> None:
        """It may be given an end, which comes with time."""
        self.suspended, self.ends = suspended, ends
        self.token.generation += 1

    @rule(there=st.sampled_from([True, True, False]))
    def make_or_delete_the_registry(self, there: bool) -> None:
        self.there = there

    @rule(refused=st.sets(st.sampled_from(["harbour", "shop"]), max_size=1), takes=st.booleans())
    def consent(self, refused: set[str], takes: bool) -> None:
        self.refused, self.takes = refused, takes

    @rule(key=st.sampled_from([MINE, PULL]))
    def take_a_name(self, key: Key) -> None:
        """A Secret of somebody else's has the name."""
        self.secrets[key] = SecretData({"theirs": b"x"})

    @rule(key=st.sampled_from([MINE, PULL]))
    def delete_a_secret(self, key: Key) -> None:
        self.secrets.pop(key, None)

    @rule(uid=st.sampled_from(["uid-of-harbour", "uid-of-harbour", "another"]))
    def make_the_account_again(self, uid: str) -> None:
        self.account = uid

    @rule(hours=st.integers(1, 30))
    def pass_time(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(chance=st.integers(0, 19), both=st.booleans())
    def delete(self, chance: int, both: bool) -> None:
        if chance == 0:
            self.token.deleted = True
            self.claim.deleted = self.claim.deleted or both

    # What the operator and the replicas do.

    @rule()
    def write_the_policy(self) -> None:
        """The Registry's reconcile: claims are settled and written first."""
        if not self.there:
            self.policy = None
            return
        seen, rendered = running(
            observed(
                REGISTRY,
                namespaces=() if self.claim.deleted else (self.namespace(),),
                tokens=() if self.token.deleted else (self.access_token(),),
                kubernetes_namespaces=self.known(),
                claims=self.claims,
                secrets=SecretView({**BASE.found, **self.secrets}, frozenset(self.refused - {"harbour"})),
            )
        )
        self.claims = dict(seen.claims)
        self.policy = rendered.draft.policy

    @rule(pod=st.sampled_from(PODS))
    def follow(self, pod: str) -> None:
        if self.policy is not None:
            self.has[pod] = self.policy.revision
            self.asked.add(pod)

    @rule()
    def be_well(self) -> None:
        """Nothing is wrong, and everything has come to rest."""
        self.there, self.refused, self.takes, self.account = True, set(), True, "uid-of-harbour"
        self.secrets = {key: one for key, one in self.secrets.items() if "theirs" not in one.values}
        self.claims = {}
        self.look_at_the_token()
        self.write_the_policy()
        for pod in PODS:
            self.follow(pod)
        self.look_at_the_token()
        self.look_at_the_namespace()

    @rule()
    def restart(self) -> None:
        self.asked.clear()

    @rule()
    def look_at_the_namespace(self) -> None:
        if self.claim.deleted:
            return
        seen = NamespaceObserved(
            self.namespace(),
            self.now,
            REGISTRY if self.there else None,
            kubernetes_namespaces=self.known(),
            claims=self.claims if self.there else {},
            propagation=self.propagation(),
        )
        holds = self.claim_holds()
        status = namespace.judge(seen).document()
        self.claim.write(status, format_time(self.now), holds=holds, fault=self.claim_fault())
        if self.claim_fault():
            assert self.claim.read == "Failed"
        if holds and self.policy is not None and set(PODS) <= self.asked:
            assert self.claim.read == "Current", status
        self.taken_back()

    @rule()
    def look_at_the_token(self) -> None:
        """What is missing of its Secrets is written first, where that may be."""
        if self.token.deleted:
            return
        of = self.access_token()
        made = placed(of, render(self.token_seen()))
        for key, secret in made.items():
            theirs = "theirs" in self.secrets[key].values if key in self.secrets else False
            if key.namespace not in self.refused and not theirs:
                self.secrets[key] = secret
        seen = self.token_seen()
        if access_token.is_over(seen):
            return
        holds = self.token_holds()
        status = access_token.judge(seen, SETTINGS).document()
        self.token.write(status, format_time(self.now), holds=holds, fault=self.token_fault())
        if holds and self.policy is not None and set(PODS) <= self.asked:
            assert self.token.read == "Current", status
        self.taken_back()

    @rule(error=ERRORS, which=st.booleans())
    def fail(self, error: OperatorError, which: bool) -> None:
        told = self.claim if which else self.token
        kind = NamespaceStatus if which else AccessTokenStatus
        if told.deleted:
            return
        before = kind.model_validate(told.status)
        status = failure.judge(before, told.generation, error, self.now, SETTINGS).document()
        told.write(status, format_time(self.now), holds=False, fault=not isinstance(error, PASSING))
        self.taken_back()

    @invariant()
    def are_never_more_than_true(self) -> None:
        self.claim.check()
        self.token.check()

    # What is read.

    def namespace(self) -> Namespace:
        spec = {"privateOnly": self.private}
        return claim(status=self.claim.status, spec=spec, generation=self.claim.generation)

    def access_token(self) -> AccessToken:
        more = {"expiresAt": format_time(NOW + timedelta(hours=48))} if self.ends else {}
        return token(
            meta={"generation": self.token.generation},
            status=self.token.status,
            suspended=self.suspended,
            pullSecrets={"namespaces": ["shop"]},
            **more,
        )

    def known(self) -> dict[str, KubernetesNamespace]:
        return {**accounts("shop"), "harbour": KubernetesNamespace("harbour", self.account)}

    def propagation(self) -> Propagation | None:
        if self.policy is None:
            return None
        reported: dict[str, str | None] = {pod: self.has[pod] for pod in PODS if pod in self.asked}
        return Propagation.of(self.policy, self.policy.revision, reported, frozenset(PODS) - reported.keys())

    def token_seen(self) -> TokenObserved:
        reached = self.propagation()
        return TokenObserved(
            self.access_token(),
            self.now,
            registries={REGISTRY.key: REGISTRY} if self.there else {},
            propagations={REGISTRY.key: reached} if reached is not None and self.there else {},
            kubernetes_namespaces=self.known(),
            secrets=SecretView(dict(self.secrets), frozenset(self.refused)),
            consents=consents("shop", harbour=self.takes),
        )

    # What is so, said slowly.

    def in_force(self, told: Told, name: str, *, part: bool, password: str = "") -> bool:
        """Part of the policy now, and of this generation once on every replica that serves.

        With this password: one that took the place of a Secret that was deleted is another.
        """
        if part and self.policy is not None and set(self.has.values()) == {self.policy.revision}:
            self.was[name] = told.generation, password
        return self.was.get(name) == (told.generation, password) and (part or self.policy is None)

    def taken_back(self) -> None:
        """What is said to be Ready no longer has to be in force everywhere once more.

        Whether a token that was refused meanwhile is in a policy that is gone, nobody remembers.
        """
        for name, told in (("claim", self.claim), ("token", self.token)):
            said = {one["type"]: one["status"] for one in told.status.get("conditions", ())}
            if said.get("Ready") != "True":
                self.was.pop(name, None)

    def claim_fault(self) -> bool:
        """Another owner's: this account was made again since it won the name."""
        return self.there and bool(self.claims) and self.account not in self.claims["pier-one"]

    def claim_holds(self) -> bool:
        found = self.policy.namespaces.get("pier-one") if self.policy is not None else None
        part = found is not None and (found.private_only, found.owner) == (self.private, self.account)
        in_force = self.in_force(self.claim, "claim", part=part)
        return self.there and bool(self.claims) and not self.claim_fault() and in_force

    def token_fault(self) -> bool:
        over = self.ends and self.now >= NOW + timedelta(hours=48)
        theirs = any("theirs" in one.values for one in self.secrets.values())
        return over or theirs or bool(self.refused) or not self.takes

    def token_holds(self) -> bool:
        found = next(iter(self.policy.tokens.values()), None) if self.policy is not None else None
        password = self.secrets[MINE].values.get("password", b"").decode() if MINE in self.secrets else ""
        part = (
            found is not None
            and (found.suspended, found.not_after) == (self.suspended, self.access_token().expires)
            and found.owner == self.account
            and bool(password)
            and Password.parse(password).sha256 in found.hashes
        )
        in_force = self.in_force(self.token, "token", part=part, password=password)
        return self.there and not self.token_fault() and {MINE, PULL} <= self.secrets.keys() and in_force


BASE = running(observed(REGISTRY))[0].secrets

TestMemberHistory = History.TestCase
TestMemberHistory.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
