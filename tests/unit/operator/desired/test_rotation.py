"""The passwords of an AccessToken, from one to the next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from registry_operator.desired import rotation
from registry_operator.desired.access_token import DOCKER_KEY, render, unwanted
from registry_operator.desired.policy import entry, hashes
from registry_operator.desired.rendered import identity
from registry_operator.desired.rotation import EARLY, MEMORY, Moment, Passwords, begins, due, read, step
from registry_operator.models import AccessToken, Key, Registry
from registry_operator.observed import Absence, Propagation, SecretData, SecretView, TokenObserved
from registry_operator.settling import Settling

from registry_runtime.contract.credential import Password, token_id
from registry_runtime.contract.policy import Policy
from tests.unit.operator.harbour import (
    MADE,
    NOW,
    accounts,
    consents,
    metadata,
    password_secret,
    placed,
    token,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ROBOT = token(rotation={"every": "1d", "overlap": "1h"})
ID = token_id(ROBOT.meta.uid)


def made() -> Password:
    return Password.generate(ID)


def at(now: datetime, **known: Any) -> Moment:
    """A moment at which nothing holds the rotation up."""
    return Moment(**{"now": now, "every": DAY, "overlap": HOUR, "in_force": True, "delivered": True, **known})


def held(passwords: Passwords, of: AccessToken = ROBOT) -> SecretData:
    """The Secret that remembers them."""
    values = {rotation.PASSWORD: passwords.current.text.encode(), MEMORY: passwords.encode()}
    return SecretData(values, owners=(of.meta.uid,))


def test_a_rotation_from_its_begin_to_its_end() -> None:
    """One step after the other; what was the password stays good until nobody can hold it."""
    first = Passwords(made(), NOW)
    begin, moment = NOW + DAY - EARLY, NOW + DAY
    assert begins(first, at(NOW)) == begin
    assert step(first, at(begin - timedelta(seconds=1)), made) == first

    begun = step(first, at(begin), made)
    assert begun.next is not None
    assert begun.current == first.current
    assert set(begun.hashes) == {first.current.sha256, begun.next.sha256}
    assert step(begun, at(moment - timedelta(seconds=1)), made) == begun
    assert step(begun, at(moment, in_force=False), made) == begun

    out = step(begun, at(moment), made)
    assert (out.current, out.previous, out.next) == (begun.next, first.current.sha256, None)
    assert out.since == moment
    assert out.hashes == begun.hashes
    assert step(out, at(moment + 9 * DAY, delivered=False), made) == out

    delivered = step(out, at(moment + HOUR), made)
    assert delivered.until == moment + HOUR + HOUR + rotation.SKEW
    assert step(delivered, at(delivered.until - timedelta(seconds=1)), made) == delivered
    assert step(delivered, at(delivered.until, delivered=False), made) == delivered
    over = step(delivered, at(delivered.until), made)
    assert over.hashes == (out.current.sha256,)


def test_time_alone_is_told_when_to_look_again() -> None:
    """Each moment that changes something, and none while something else is waited for."""
    first = Passwords(made(), NOW)
    assert due(first, at(NOW)) == NOW + DAY - EARLY
    assert due(first, at(NOW + DAY, delivered=False)) is None
    assert due(first, at(NOW + DAY)) == NOW + DAY
    assert due(first, at(NOW, every=None)) is None
    begun = replace(first, next=made())
    assert due(begun, at(NOW + DAY - EARLY)) == NOW + DAY
    assert due(begun, at(NOW + DAY, in_force=False)) is None
    assert due(replace(first, previous="0" * 64, until=NOW + HOUR), at(NOW)) == NOW + HOUR


def test_short_rotations_and_long_overlaps() -> None:
    """What is made early is so by a tenth at most; an overlap is no longer than `every`."""
    seconds = timedelta(seconds=10)
    assert begins(Passwords(made(), NOW), at(NOW, every=seconds)) == NOW + timedelta(seconds=9)
    assert at(NOW, every=seconds, overlap=HOUR).lasts == 2 * seconds


def test_what_does_not_rotate_ends_what_began() -> None:
    """Suspended, ended, or without rotation: the next is forgotten, the one of before goes in its time."""
    begun = Passwords(made(), NOW, next=made())
    assert step(begun, at(NOW + DAY, every=None), made) == replace(begun, next=None)
    out = Passwords(made(), NOW, previous="0" * 64)
    until = step(out, at(NOW, every=None, overlap=rotation.UNSET_OVERLAP), made).until
    assert until is not None
    assert until >= NOW + HOUR
    assert step(replace(out, until=until), at(until, every=None), made).previous is None


def test_clocks_that_differ() -> None:
    """A time out of the future is now; an end that is further away than settings allow comes nearer."""
    ahead = Passwords(made(), NOW + DAY)
    assert step(ahead, at(NOW), made).since == NOW
    late = Passwords(made(), NOW, previous="0" * 64, until=NOW + 9 * DAY)
    assert step(late, at(NOW), made).until == NOW + at(NOW).lasts


def test_what_is_remembered_is_read_again() -> None:
    """All of it, by the Secret alone; and no value of it is shown."""
    whole = Passwords(made(), NOW, made(), "0" * 64, NOW + HOUR, ("shop", "yard"))
    assert read(ROBOT, held(whole)) == whole
    assert whole.next is not None
    for secret in (whole.current.text, whole.next.text, "0" * 64):
        assert secret not in repr(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"owners": frozenset()},
        {"owners": ("uid-of-another-token",)},
        {"deleting": True},
    ],
)
def test_a_secret_that_is_not_the_tokens_own_holds_nothing(changes: dict[str, Any]) -> None:
    """Whoever copies one makes no password good."""
    assert read(ROBOT, replace(held(Passwords(made(), NOW)), **changes)) is None
    assert read(ROBOT, Absence.MISSING) is None


def test_a_password_that_somebody_wrote_is_no_way_in() -> None:
    """Well-formed and of this token's id, but not the one that was made: also as the next, or of another."""
    ours = held(Passwords(made(), NOW))
    forged = {**ours.values, rotation.PASSWORD: made().text.encode()}
    assert read(ROBOT, replace(ours, values=forged)) is None
    foreign = Password.generate(token_id("another"))
    assert read(ROBOT, held(Passwords(foreign, NOW))) is None
    found = read(ROBOT, held(Passwords(made(), NOW, next=foreign)))
    assert found is not None
    assert found.next is None


def test_what_another_hand_took_the_password_out_by_is_known() -> None:
    """The fields, for an Event; of a Secret that is read, and of one from before rotation, none."""
    good = held(Passwords(made(), NOW))
    text = {rotation.PASSWORD: made().text.encode()}
    assert rotation.spoiled(ROBOT, good) == ()
    assert rotation.spoiled(ROBOT, replace(good, values=text)) == ()
    foreign = {**good.values, rotation.PASSWORD: b"theirs"}
    assert rotation.spoiled(ROBOT, replace(good, values=foreign)) == (("data", "password"),)
    other = replace(good, values={**good.values, **text})
    assert rotation.spoiled(ROBOT, other) == (("data", "password"), ("data", "rotation.json"))
    assert rotation.spoiled(ROBOT, replace(good, owners=())) == (("metadata", "ownerReferences"),)


@pytest.mark.parametrize("memory", [b"", b"{", b"\xff", b"[]", b'{"current": "x"}'])
def test_a_secret_of_before_rotation_is_taken_as_it_is(memory: bytes) -> None:
    """Its password is as old as the token may be; what cannot be read is nothing."""
    secret, password = password_secret(ROBOT)
    found = read(ROBOT, replace(secret, values={**secret.values, MEMORY: memory}))
    assert found == Passwords(password, MADE)


# The whole of it: Secrets, policies, replicas and an operator that may die between any two writes.

TARGETS = ("shop", "yard")
REGISTRIES = (Key("harbour", "harbour"), Key("harbour", "quay"))
REPLICAS = 2


def registry(key: Key) -> Registry:
    spec = {"hostname": f"{key.name}.test", "storage": {"ephemeral": {}}}
    return Registry.parse({"metadata": metadata(key.name, key.namespace), "spec": spec})


class Rotations(RuleBasedStateMachine):
    """At every moment each pull secret that is there is accepted by each replica of each Registry."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW  # the true time; the operator's clock is `skew` ahead of it
        self.skew = timedelta()
        self.spec: dict[str, Any] = {}
        self.secrets: dict[Key, SecretData] = {}
        self.refused: set[str] = set()
        self.lost: set[str] = set()  # targets that were taken out while they could not be reached
        self.written = {key: Policy() for key in REGISTRIES}
        self.replicas = {key: [Policy()] * REPLICAS for key in REGISTRIES}
        self.held: dict[str, datetime] = {}  # by hash of a password: when a pull secret last had it
        self._forget()

    def _forget(self) -> None:
        """All that an operator knows only as long as it lives."""
        self.settling = {key: Settling() for key in REGISTRIES}
        self.propagations: dict[Key, Propagation] = {}

    @property
    def token(self) -> AccessToken:
        refs = [{"name": key.name, "namespace": key.namespace} for key in REGISTRIES]
        return token(registryRefs=refs, **self.spec)

    @property
    def view(self) -> SecretView:
        return SecretView(self.secrets, frozenset(self.refused))

    def observed(self) -> TokenObserved:
        robot = self.token
        return TokenObserved(
            robot,
            self.now + self.skew,
            registries={key: registry(key) for key in REGISTRIES},
            propagations=self.propagations,
            settled=frozenset(
                key for key, one in self.settling.items() if key in self.propagations and robot.key not in one
            ),
            kubernetes_namespaces=accounts(*TARGETS),
            secrets=self.view,
            placed=frozenset(key for key in self.secrets if key.namespace not in self.refused),
            consents=consents(*TARGETS),
        )

    @initialize()
    def everything_is_there(self) -> None:
        self.spec = {
            "rotation": {"every": "10m", "overlap": "2m"},
            "pullSecrets": {"namespaces": list(TARGETS)},
        }
        self.settle()

    @rule(writes=st.sampled_from([3, 3, 3, 0, 1, 2]))
    def reconcile(self, writes: int) -> None:
        """The token's; the operator dies after so many writes, if it does not come to its end."""
        seen = self.observed()
        for child in render(seen)[:writes]:
            self.secrets |= placed(seen.token, [child])
            self.lost.discard(identity(child)[1].namespace)
        if writes < 3:
            self._forget()
            return
        for gone in unwanted(seen):
            del self.secrets[gone]

    @rule(key=st.sampled_from(REGISTRIES), behind=st.sampled_from([None, None, *range(REPLICAS)]))
    def policy(self, key: Key, behind: int | None) -> None:
        """Written, taken up by all replicas or all but one, and looked at."""
        self.write_policy(key)
        for number in range(REPLICAS):
            if number != behind:
                self.replicas[key][number] = self.written[key]
        self.judge(key)

    @rule(key=st.sampled_from(REGISTRIES))
    def write_policy(self, key: Key) -> None:
        robot = self.token
        known = hashes(robot, self.view.get(robot.secret), lambda: self.written[key])
        made = entry(robot, accounts()["harbour"], known)
        self.written[key] = Policy(tokens={token_id(robot.meta.uid): made} if known else {})

    @rule(key=st.sampled_from(REGISTRIES))
    def judge(self, key: Key) -> None:
        """The Registry's reconcile: how far its policy has come, as `Cache.see_propagation` takes it."""
        policy, robot = self.written[key], self.token
        reported = {f"pod-{number}": one.revision for number, one in enumerate(self.replicas[key])}
        before = self.propagations.get(key)
        self.propagations[key] = seen = Propagation.of(policy, policy.revision, reported)
        id_ = token_id(robot.meta.uid)
        now = policy.tokens.get(id_)
        changed = now and (before.policy.tokens.get(id_) != now if before else len(now.hashes) > 1)
        self.settling[key].see(seen, {robot.key} if changed else ())

    @rule(seconds=st.sampled_from([30, 250, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(what=st.integers(0, 10), skew=st.integers(-30, 30))
    def something_else_happens(self, what: int, skew: int) -> None:
        match what:
            case 0 | 1:
                self.refused ^= {TARGETS[what]}  # its consent is withdrawn, or given again
            case 2 | 3:
                self.name_targets({TARGETS[what - 2]})
            case 4:
                self.name_targets(set(TARGETS))
            case 5 | 6:
                self.spec["suspended"] = what == 5
            case 7:
                self.spec.pop("rotation", None)
            case 8:
                self.spec["rotation"] = {"every": "20m", "overlap": "5m"}
            case _:
                self.spec["rotation"] = {"every": "10m", "overlap": "2m"}
                self._forget()  # another operator, whose clock is another
                self.skew = timedelta(seconds=skew)

    def name_targets(self, named: set[str]) -> None:
        """What is no target any more and cannot be reached keeps what it has, by the user's own choice."""
        self.lost |= (set(TARGETS) - named) & self.refused
        self.spec["pullSecrets"] = {"namespaces": sorted(named)}

    def settle(self) -> None:
        """Everything that can happen by itself does."""
        for _ in range(3):
            self.reconcile(3)
            for key in REGISTRIES:
                self.policy(key, None)
            self.no_pull_fails()

    def teardown(self) -> None:
        """Whatever happened: where nothing is in the way any more, the next password is given out."""
        if not self.secrets:
            return
        self.refused.clear()
        self.spec |= {"rotation": {"every": "10m", "overlap": "2m"}, "suspended": False}
        self.settle()
        before = self.password
        for _ in range(4):
            self.time_passes(600)
            self.settle()
        assert self.password != before

    @property
    def password(self) -> str:
        return self.secrets[self.token.secret].values[rotation.PASSWORD].decode()

    def carried(self) -> set[str]:
        """Hashes of the passwords in pull secrets."""
        found = set()
        for key, secret in self.secrets.items():
            if DOCKER_KEY in secret.values and key.namespace not in self.lost:
                auths = json.loads(secret.values[DOCKER_KEY])["auths"]
                assert {host.removeprefix("private.") for host in auths} == {"harbour.test", "quay.test"}
                found |= {Password.parse(one["password"]).sha256 for one in auths.values()}
        return found

    @invariant()
    def no_pull_fails(self) -> None:
        carried = self.carried()
        self.held |= dict.fromkeys(carried, self.now)
        for policies in self.replicas.values():
            for policy in policies:
                assert all(carried <= set(one.hashes) for one in policy.tokens.values())
                assert policy.tokens or not carried

    @invariant()
    def the_overlap_is_kept(self) -> None:
        """Also for who copied the password by hand: it is good for so long after the last target had it."""
        for policy in self.written.values():
            known = {hash_ for one in policy.tokens.values() for hash_ in one.hashes}
            for hash_, last in self.held.items():
                assert not known or hash_ in known or self.now - last >= timedelta(minutes=2)

    @invariant()
    def two_at_most(self) -> None:
        found = read(self.token, self.secrets[self.token.secret]) if self.secrets else None
        assert found is None or len(found.hashes) <= 2


TestRotations = Rotations.TestCase
TestRotations.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.fixture
def story() -> Rotations:
    """A token whose next password is made, in the policies, and due."""
    told = Rotations()
    told.everything_is_there()
    told.time_passes(540)
    told.settle()
    told.time_passes(60)
    return told


def test_an_operator_that_died_before_the_last_pull_secret(story: Rotations) -> None:
    """And then the target withdraws its consent: the password that it has stays good for as long as that."""
    before = story.password
    story.reconcile(1)
    assert story.password != before
    story.refused.add("shop")
    for _ in range(9):
        story.settle()
        story.time_passes(600)
        story.the_overlap_is_kept()
        story.two_at_most()
    story.no_pull_fails()
    story.refused.clear()
    for _ in range(3):
        story.settle()
        story.the_overlap_is_kept()
        story.two_at_most()
    story.teardown()


def test_a_consent_that_was_withdrawn_before_the_password_was_due(story: Rotations) -> None:
    """The password that lies there, where nobody can reach it, is still the one of everybody."""
    before = story.password
    story.refused.add("shop")
    for _ in range(9):
        story.settle()
        story.time_passes(600)
    assert story.password == before
    story.name_targets({"yard"})
    story.settle()
    assert story.password != before


def test_a_policy_that_is_written_is_not_in_force_yet() -> None:
    """The operator's word is not enough: each replica of each Registry says so itself."""
    told = Rotations()
    told.everything_is_there()
    told.time_passes(600)
    before = told.password
    for behind in (*REGISTRIES, None):
        for _ in range(2):
            told.reconcile(3)
            for key in REGISTRIES:
                told.write_policy(key)
                if key != behind:
                    told.replicas[key][0] = told.written[key]
                if behind is None:
                    told.replicas[key][1] = told.written[key]
                told.judge(key)
            told.no_pull_fails()
        if behind is not None:
            assert told.password == before
    told.reconcile(3)
    told.no_pull_fails()
    assert told.password != before
