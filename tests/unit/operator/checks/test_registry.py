"""The status of a Registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from registry_operator import names
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.models import Key, RegistryStatus
from registry_operator.observed import (
    Absence,
    Autoscaler,
    Conflict,
    RegistryObserved,
    SecretData,
    SecretView,
    Waiting,
)
from registry_operator.tls import Authority, Usage

from registry_runtime.contract.state import StorageReason
from tests.unit.operator.harbour import (
    NOW,
    SETTINGS,
    observed,
    password_secret,
    registry,
    running,
    state,
    token,
    view,
)
from tests.unit.operator.kstatus import kstatus


def status(seen: RegistryObserved) -> RegistryStatus:
    return judge(seen, render(seen, SETTINGS), SETTINGS)


def said(seen: RegistryObserved) -> dict[str, tuple[str, str, str]]:
    """Each condition's status, reason and message."""
    return {one.type: (one.status, one.reason, one.message) for one in status(seen).conditions}


def kstatus_of(seen: RegistryObserved) -> str:
    return kstatus(seen.registry.meta.generation, status(seen).document())


def judged_before(seen: RegistryObserved) -> RegistryObserved:
    """The same, after its status was written once."""
    return replace(seen, registry=replace(seen.registry, status=status(seen)))


def test_at_first_sight_nothing_is_known() -> None:
    """What cannot be known yet is Unknown, and a client that waits goes on waiting."""
    first = said(observed())
    unknown = {kind for kind, (value, *_) in first.items() if value == "Unknown"}
    assert unknown == {
        "Ready",
        "StorageReady",
        "PolicyPropagated",
        "SelfCheckPassed",
        "ZoneRedundant",
        "Available",
    }
    assert first["Reconciling"][0] == "True"
    assert kstatus_of(observed()) == "InProgress"


def test_three_replicas_in_three_zones_are_ready() -> None:
    """All conditions hold; the status says where it is and who has which policy."""
    seen, rendered = running(observed())
    found = status(seen)
    assert {kind: value for kind, (value, *_) in said(seen).items()} == {
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
        "Available": "True",
        "StorageReady": "True",
        "TLSReady": "True",
        "PolicyPropagated": "True",
        "SelfCheckPassed": "True",
        "ZoneRedundant": "True",
        "UpToDate": "True",
    }
    assert kstatus_of(seen) == "Current"
    document = found.document()
    assert document["endpoints"] == {
        "public": "https://harbour.test",
        "private": "https://private.harbour.test",
    }
    assert document["zones"] == {"zone-a": 1, "zone-b": 1, "zone-c": 1}
    assert (document["replicas"], document["readyReplicas"]) == (3, 3)
    assert document["selector"] == "app.kubernetes.io/name=registry,app.kubernetes.io/instance=harbour"
    assert document["policyRevision"] == rendered.draft.revision
    assert document["policyAcknowledgedBy"] == ["harbour-0", "harbour-1", "harbour-2"]
    assert document["caBundle"] == "harbour-ca-bundle"


def test_judging_again_writes_nothing() -> None:
    """Time passes and nothing else: the document is the same, byte for byte."""
    seen, _ = running(observed())
    before = judged_before(seen)
    later = replace(before, now=NOW + timedelta(hours=3))
    assert status(later) == before.registry.status


def test_a_restart_of_the_operator_takes_nothing_back() -> None:
    """While no replica has been asked yet, what was said of this generation stands."""
    before = judged_before(running(observed())[0])
    restarted = replace(before, replicas={})
    assert status(restarted) == before.registry.status


def test_nothing_is_kept_for_another_generation() -> None:
    """A changed spec is unknown territory until somebody has looked."""
    before = judged_before(running(observed())[0])
    edited = replace(before.registry, meta=replace(before.registry.meta, generation=2))
    found = said(replace(before, registry=edited, replicas={}))
    assert found["StorageReady"][0] == "Unknown"
    assert found["PolicyPropagated"][0] == "Unknown"
    assert found["Ready"][0] == "False"


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    """Another reason or message is no transition."""
    before = judged_before(running(observed())[0])
    later = replace(before, now=NOW + timedelta(hours=1), endpoints=before.endpoints[:2])
    moved = {
        one.type: one.last_transition_time - NOW
        for one in status(later).conditions
        if one.last_transition_time != NOW
    }
    assert moved == {kind: timedelta(hours=1) for kind in ("Ready", "Reconciling", "ZoneRedundant")}


def test_a_lost_zone_is_named() -> None:
    """Two of three zones serve: said in ZoneRedundant, while the registry is still available."""
    before = judged_before(running(observed())[0])
    endpoints = (*before.endpoints[:2], replace(before.endpoints[2], ready=False))
    seen = replace(before, endpoints=endpoints)
    found = said(seen)
    assert found["ZoneRedundant"] == (
        "False",
        "ZoneWithoutReplica",
        "2 of 3 zones serve: zone-c has none",
    )
    assert found["Available"][0] == "True"
    assert found["Ready"][:2] == ("False", "ReplicasNotReady")
    assert kstatus_of(seen) == "InProgress"
    assert status(seen).zones == {"zone-a": 1, "zone-b": 1, "zone-c": 0}

    evicted = judged_before(replace(before, endpoints=before.endpoints[:2]))
    assert status(evicted).zones == {"zone-a": 1, "zone-b": 1, "zone-c": 0}, "also when its pod is gone"


def test_no_replica_serves() -> None:
    """Everything is down: no condition claims anything else."""
    before = judged_before(running(observed())[0])
    down = replace(before, endpoints=tuple(replace(one, ready=False) for one in before.endpoints))
    found = said(down)
    assert found["Available"][:2] == ("False", "NoReplicaServes")
    assert found["ZoneRedundant"][2] == "0 of 3 zones serve: zone-a, zone-b, zone-c have none"
    assert found["PolicyPropagated"][0] == "Unknown"
    assert found["Ready"][0] == "False"


def test_one_zone_is_no_redundancy() -> None:
    """A laptop's Registry is Ready, and does not claim to survive a zone."""
    seen, _ = running(observed(registry(replicas=1, zones={"minimum": 1})))
    assert said(seen)["Ready"][0] == "True"
    assert said(seen)["ZoneRedundant"][:2] == ("False", "SingleZone")


def test_nodes_without_zones() -> None:
    """Where nodes carry no zone nothing is claimed about zones."""
    seen, _ = running(observed())
    unlabelled = tuple(replace(one, zone="") for one in seen.endpoints)
    assert said(replace(seen, endpoints=unlabelled))["ZoneRedundant"][:2] == ("Unknown", "ZonesUnknown")


HALF = SecretData({"accessKeyID": b"x"})


def with_secret(name: str, secret: SecretData | None) -> SecretView:
    found = {key: value for key, value in view().found.items() if key.name != name}
    return SecretView(found | ({Key("harbour", name): secret} if secret else {}))


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"secrets": view(refused=["harbour"])}, "SecretsNotPermitted", "--clusterrole=roadstead-registry "),
        ({"secrets": with_secret("s3", None)}, "SecretNotFound", "Secret harbour/s3"),
        ({"secrets": with_secret("s3", HALF)}, "SecretKeyMissing", "secretAccessKey"),
        ({"ca_bundle": Absence.MISSING}, "CABundleNotFound", "ConfigMap harbour/s3-ca"),
        ({"ca_bundle": {"other.crt": "x"}}, "CABundleKeyMissing", "ca.crt"),
    ],
)
def test_what_the_storage_lacks_is_said_with_its_remedy(
    changes: dict[str, Any], reason: str, words: str
) -> None:
    """Only the user can mend it, so it is Stalled; it mends as soon as what is missing is there."""
    s3 = {"bucket": "harbour", "credentialsSecretRef": {"name": "s3"}, "caBundleRef": {"name": "s3-ca"}}
    good = observed(registry(storage={"s3": s3}), ca_bundle={"ca.crt": "PEM"})
    bad = replace(good, **changes)
    for kind in ("StorageReady", "Ready"):
        value, found, message = said(bad)[kind]
        assert (value, found) == ("False", reason)
        assert words in message
    assert kstatus_of(bad) == "Failed"
    assert kstatus_of(running(good)[0]) == "Current"


def test_a_customers_key_must_be_there() -> None:
    """Of SSE-C the Secret and its key; a workload's identity needs no Secret for itself."""
    sse = {"type": "SSE-C", "keySecretRef": {"name": "sse", "key": "k1"}}
    s3 = {"bucket": "harbour", "workloadIdentity": {}, "serverSideEncryption": sse}
    of = registry(storage={"s3": s3})
    missing = said(observed(of, secrets=SecretView()))["StorageReady"]
    assert missing[1] == "SecretNotFound"
    assert "Secret harbour/sse of spec.storage.s3.serverSideEncryption.keySecretRef" in missing[2]
    there = SecretView({Key("harbour", "sse"): SecretData({"k2": b"x"})})
    assert said(observed(of, secrets=there))["StorageReady"][1] == "SecretKeyMissing"
    there = SecretView({Key("harbour", "sse"): SecretData({"k1": b"x"})})
    assert said(observed(of, secrets=there))["StorageReady"][1] == "Checking"


def test_a_ca_bundle_may_be_a_secret() -> None:
    """The same judgement where it lies in a Secret."""
    reference = {"kind": "Secret", "name": "s3-tls"}
    s3 = {"bucket": "harbour", "credentialsSecretRef": {"name": "s3"}, "caBundleRef": reference}
    of = registry(storage={"s3": s3})
    assert said(observed(of))["StorageReady"][1] == "CABundleNotFound"
    there = view({Key("harbour", "s3-tls"): SecretData({"tls.crt": b"x"})})
    assert said(observed(of, secrets=there))["StorageReady"][1] == "CABundleKeyMissing"
    there = view({Key("harbour", "s3-tls"): SecretData({"ca.crt": b"x"})})
    assert said(observed(of, secrets=there))["StorageReady"][1] == "Checking"


@pytest.mark.parametrize("reason", [one for one in StorageReason if one not in ("Ready", "Checking")])
def test_what_a_replica_found_is_the_reason(reason: StorageReason) -> None:
    """The runtime's own word for it, with its sentence; only an unreachable bucket may mend by itself."""
    seen, rendered = running(observed())
    found = state("harbour-1", rendered.draft.revision, reason)
    bad = replace(seen, replicas={**seen.replicas, "harbour-1": found})
    assert said(bad)["StorageReady"] == ("False", reason.value, f"found {reason}")
    assert said(bad)["Ready"][:2] == ("False", reason.value)
    assert kstatus_of(bad) == ("InProgress" if reason is StorageReason.UNREACHABLE else "Failed")


def test_a_replica_that_still_checks_spoils_nothing() -> None:
    """During a rollout the others know that the bucket works."""
    seen, rendered = running(observed())
    checking = state("harbour-1", rendered.draft.revision, StorageReason.CHECKING)
    assert said(replace(seen, replicas={**seen.replicas, "harbour-1": checking}))["StorageReady"][0] == "True"


def test_ephemeral_storage_says_what_it_is() -> None:
    """Nobody takes it for more than a trial."""
    seen, _ = running(observed(registry(storage={"ephemeral": {}}, replicas=1, zones={"minimum": 1})))
    assert said(seen)["StorageReady"][:2] == ("True", "Ephemeral")
    assert "lost" in said(seen)["StorageReady"][2]


def test_a_ca_that_will_sign_is_told_with_its_time() -> None:
    """From then on clients must trust it: the bundle has it already."""
    of = registry(tls={"selfSigned": {"caGeneration": 2, "caNotice": "3d"}})
    signs = SecretData(Authority.ensure(None, "Roadstead harbour/harbour", NOW).secret)
    seen = observed(of, secrets=view({names.ca(of): signs}))
    assert said(seen)["TLSReady"][0] == "True"
    told = said(seen)["TLSReady"][2]
    assert told.endswith("; the next CA is in the bundle, and signs from 2026-11-24T12:00:00Z")


GIVEN = Authority.ensure(None, "somebody", NOW)
HOSTS = ("harbour.test", "private.harbour.test")
PAIR = GIVEN.leaf(None, HOSTS, Usage.SERVER, NOW)


@pytest.mark.parametrize(
    ("values", "later", "reason"),
    [
        (None, 0, "SecretNotFound"),
        ({"tls.crt": b"x"}, 0, "SecretKeyMissing"),
        ({"tls.crt": b"x", "tls.key": b"y"}, 0, "CertificateInvalid"),
        (GIVEN.leaf(None, HOSTS[:1], Usage.SERVER, NOW), 0, "HostNotCovered"),
        (PAIR, 91, "CertificateExpired"),
        (PAIR, -1, "CertificateExpired"),
    ],
)
def test_a_certificate_of_the_user_is_judged(
    values: Mapping[str, bytes] | None, later: int, reason: str
) -> None:
    """Missing, broken, for other names or out of its time: said before a client meets it."""
    of = registry(tls={"secretRef": {"name": "public"}})
    secrets = view({Key("harbour", "public"): SecretData(values)} if values else {})
    bad = observed(of, secrets=secrets, now=NOW + timedelta(days=later))
    assert said(bad)["TLSReady"][:2] == ("False", reason)
    assert said(bad)["Ready"][1] == reason
    assert kstatus_of(bad) == "Failed"
    good, _ = running(observed(of, secrets=view({Key("harbour", "public"): SecretData(PAIR)})))
    assert said(good)["TLSReady"][:2] == ("True", "CertificateProvided")
    assert kstatus_of(good) == "Current"


def test_an_autoscaler_says_how_many_replicas_are_ready() -> None:
    """Ready counts what it wants, and does not wait for its metrics; what it lacks is a condition."""
    seen, _ = running(observed(registry(autoscaling={"minReplicas": 3, "maxReplicas": 6})))
    assert seen.rollout
    assert said(seen)["AutoscalingActive"][:2] == ("Unknown", "Pending")
    follows = replace(seen, autoscaler=Autoscaler(wanted=3, active=True))
    assert said(follows)["AutoscalingActive"] == ("True", "LoadFollowed", "3 replicas, between 3 and 6")
    assert said(follows)["Ready"][0] == "True"
    more = replace(
        follows,
        rollout=replace(seen.rollout, wanted=6),
        autoscaler=Autoscaler(wanted=6, active=True, limit="TooManyReplicas"),
    )
    assert said(more)["Ready"][0::2] == ("False", "3 of 6 replicas serve")
    assert said(more)["AutoscalingActive"][1] == "AtMaximum"
    assert status(more).desired_replicas == 6
    blind = replace(seen, autoscaler=Autoscaler(wanted=3, active=False, message="no metrics"))
    assert said(blind)["AutoscalingActive"][:2] == ("False", "MetricsUnavailable")
    assert said(blind)["Ready"][0] == "True"


def test_a_rollout_is_not_ready_before_the_last_replica() -> None:
    """The Deployment that was seen must be the one that was rendered, and no older pod may be left."""
    seen, _ = running(observed())
    rollout = seen.rollout
    assert rollout
    for unfinished in (
        replace(rollout, rendered="another"),
        replace(rollout, generation=2),
        replace(rollout, updated=2),
        replace(rollout, replicas=4),
    ):
        assert said(replace(seen, rollout=unfinished))["Ready"][:2] == ("False", "RollingOut")
    assert said(replace(seen, rollout=replace(rollout, available=2)))["Ready"][1] == "ReplicasNotReady"


def test_why_a_pod_does_not_run_is_the_reason() -> None:
    """What the kubelet or the scheduler says stands in Ready, with the pod."""
    seen, _ = running(observed())
    waiting = {"harbour-2": Waiting("ImagePullBackOff", "no such image")}
    bad = replace(seen, endpoints=seen.endpoints[:2], waiting=waiting)
    assert said(bad)["Ready"] == (
        "False",
        "ImagePullBackOff",
        "2 of 3 replicas serve; harbour-2: no such image",
    )


def test_an_object_of_another_is_a_conflict() -> None:
    """Nothing is overwritten; who made it must say."""
    conflict = Conflict("Service", Key("harbour", "harbour"))
    seen = replace(running(observed())[0], conflicts=(conflict,))
    assert said(seen)["Ready"][:2] == ("False", "NameConflict")
    assert "Service harbour/harbour" in said(seen)["Ready"][2]
    assert "roadstead.dev/adopt=harbour" in said(seen)["Ready"][2]
    of_a_secret = replace(seen, conflicts=(Conflict("Secret", Key("harbour", "harbour-ca")),))
    assert "adopt" not in said(of_a_secret)["Ready"][2], "what is secret is never taken over"
    assert kstatus_of(seen) == "Failed"


def test_the_policy_is_propagated_when_every_replica_says_so() -> None:
    """A measured fact: one replica behind is named, one that does not answer counts as behind."""
    seen, rendered = running(observed())
    behind = replace(seen, replicas={**seen.replicas, "harbour-1": state("harbour-1", "an older one")})
    assert said(behind)["PolicyPropagated"][:2] == ("False", "Propagating")
    assert "harbour-1" in said(behind)["PolicyPropagated"][2]
    assert status(behind).policy_acknowledged_by == ("harbour-0", "harbour-2")
    silent = replace(seen, replicas={**seen.replicas, "harbour-1": None})
    assert said(silent)["PolicyPropagated"][:2] == ("False", "Propagating")
    assert said(behind)["Ready"][0] == "True", "access never waits for a rollout, nor a rollout for access"
    assert rendered.draft.revision in said(seen)["PolicyPropagated"][2]


def test_a_new_policy_is_not_said_to_be_in_force_by_an_old_word() -> None:
    """What was kept over a restart speaks of its own revision only."""
    before = judged_before(running(observed())[0])
    robot = token()
    secrets = SecretView({**before.secrets.found, robot.secret: password_secret(robot)[0]})
    changed = replace(before, tokens=(robot,), secrets=secrets, replicas={})
    assert said(changed)["PolicyPropagated"][0] == "Unknown"
    assert status(changed).policy_acknowledged_by == ()


def test_a_policy_that_a_replica_refuses_is_said() -> None:
    """Who cannot read it is named with what it says, whatever revision it has; it is more than late."""
    seen, _ = running(observed())
    refusing = state("harbour-1", "an older one").model_copy(
        update={"policy_problem": "shard-2: tokens: bad"}
    )
    refused = replace(seen, replicas={**seen.replicas, "harbour-1": refusing})
    assert said(refused)["PolicyPropagated"][:2] == ("False", "PolicyRefused")
    assert "harbour-1: shard-2: tokens: bad" in said(refused)["PolicyPropagated"][2]


def test_a_policy_that_does_not_fit_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody must take tokens away."""
    seen, _ = running(observed())
    monkeypatch.setattr(names, "POLICY_BYTES", 1)
    assert said(seen)["PolicyPropagated"][:2] == ("False", "PolicyTooLarge")
    assert kstatus_of(seen) == "Failed"
