"""The plan equals the later apply: random edits on a real API server, planned, applied, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as some
from registry_operator.models import Key
from registry_operator.names import CERTIFICATES_ROLE, ROUTES_ROLE
from registry_operator.plan.changes import both, diff
from registry_operator.plan.outcome import CERTAIN
from registry_operator.plan.owned import applied
from registry_operator.plan.rehearsal import Write

from registry_runtime.auth.decision import decide
from registry_runtime.auth.globs import matches
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Policy
from tests.operator.apiserver import Object
from tests.operator.installed import crds
from tests.operator.operator_process import Operator, settled, wait
from tests.operator.planned import (
    API,
    IMAGE,
    KINDS,
    NAMESPACES,
    TARGETS,
    Harbour,
    Snapshot,
    binding,
    claim,
    made,
    registry,
    token,
)

pytestmark = pytest.mark.cluster
CONSENTS = {ROUTES_ROLE: "Exposed", CERTIFICATES_ROLE: "TLSReady"}  # each with the condition that misses it


OTHERS: Object = {"parentRefs": [{"name": "edge"}]}
LED = registry(tls={"issuerRef": {"name": "own"}}, exposure={"gateway": OTHERS | {"kind": "HTTPRoute"}})


@pytest.fixture(scope="module")
def harbour(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """Where routes and Certificates are served, as the operator knows; their controllers do nothing."""
    for project in ("cert-manager", "gateway-api"):
        crds(operator.server, project)
    with made(operator, tmp_path_factory.mktemp("plan")) as found:
        found.apply(LED)
        for kind in CONSENTS.values():
            missed = partial(found.cluster.condition, "Registry", "port", "harbour", kind)
            wait(lambda missed=missed: missed().get("reason") == "NotPermitted", 60)  # type: ignore[misc]
        found.apply(registry())
        settled(operator)
        yield found


globs = some.sampled_from(["pier/**", "pier/app", "pier/*", "jetty/**", "jetty/*/x", "pier/app/**"])
permissions = some.lists(
    some.fixed_dictionaries(
        {
            "repositories": some.lists(globs, min_size=1, max_size=2, unique=True),
            "actions": some.lists(
                some.sampled_from(["pull", "push", "delete"]), min_size=1, max_size=3, unique=True
            ),
        }
    ),
    min_size=1,
    max_size=2,
)
subjects = some.sampled_from(
    [
        {"accessToken": {"name": "deployer"}},
        {"accessToken": {"name": "second"}},
        {"serviceAccount": {"namespace": "shop"}},
    ]
)
access = some.lists(
    some.fixed_dictionaries(
        {
            "role": some.sampled_from(["Reader", "Writer", "Manager"]),
            "subjects": some.lists(subjects, min_size=1, max_size=1),
        }
    ),
    max_size=2,
)
issuers = some.sampled_from([{"issuerRef": {"name": "own"}}, {"issuerRef": {"name": "else"}}, {}])
routes = some.fixed_dictionaries(
    {
        "kind": some.sampled_from(["HTTPRoute", "TLSRoute"]),
        "parentRefs": some.sampled_from([[{"name": "edge"}], [{"name": "edge", "sectionName": "https"}]]),
    }
)
exposures = some.fixed_dictionaries(
    {},
    optional={
        "hosts": some.just(["more.example.com"]),
        "serviceType": some.just("LoadBalancer"),
        "ingress": some.just({"className": "nginx"}),
        "gateway": routes,
    },
)
registries = some.fixed_dictionaries(
    {},
    optional={
        "replicas": some.integers(1, 6),
        "privateOnly": some.booleans(),
        "hostname": some.sampled_from(["harbour.example.com", "haven.example.com"]),
        "authentication": some.just({"kubernetes": {}}),
        "resources": some.just({"requests": {"cpu": "500m"}}),
        "exposure": exposures,
        "tls": issuers,
    },
)
tokens = some.fixed_dictionaries(
    {"permissions": permissions},
    optional={
        "suspended": some.booleans(),
        "networks": some.just(["10.0.0.0/8"]),
        "pullSecrets": some.fixed_dictionaries(
            {"namespaces": some.lists(some.sampled_from(TARGETS), min_size=1, max_size=2, unique=True)}
        ),
    },
)
edits = some.one_of(
    registries.map(lambda spec: registry(**spec)),
    some.tuples(some.sampled_from(NAMESPACES), access, some.booleans()).map(
        lambda one: claim(one[0], access=one[1], privateOnly=one[2])
    ),
    some.tuples(some.sampled_from(["deployer", "second"]), tokens).map(lambda one: token(one[0], **one[1])),
)


@dataclass
class Edit:
    """Resources that are applied together, and AccessTokens that are deleted with them.

    `given` are roles that the namespace lets the operator have by then, `brought` those that the files bind.
    """

    declared: list[Object] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    brought: set[str] = field(default_factory=set)


changes = some.builds(
    Edit,
    some.lists(edits, min_size=1, max_size=3, unique_by=lambda one: (one["kind"], one["metadata"]["name"])),
    some.lists(some.just("second"), max_size=1),
    some.sets(some.sampled_from(sorted(CONSENTS))),
    some.sets(some.sampled_from(sorted(CONSENTS))),
)


@seed(datetime.now(UTC).toordinal())  # another one each day; a failure prints how to come back to it
@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(edit=Edit([LED], given={*CONSENTS}))
@example(edit=Edit([registry(exposure={"gateway": OTHERS | {"kind": "TLSRoute"}}, replicas=4)]))  # withdrawn
@example(edit=Edit([registry(replicas=5)]))
@example(edit=Edit([registry(replicas=5, privateOnly=True)], brought={*CONSENTS}))
@given(edit=changes)
def test_the_plan_equals_the_later_apply(harbour: Harbour, edit: Edit) -> None:
    """Objects, what of them changes, who loses or gains access, what is faulty; a plan changes nothing."""
    consent(harbour, edit.given)
    there = harbour.cluster.list("AccessToken", "port")
    declared = {one["metadata"]["name"] for one in edit.declared if one["kind"] == "AccessToken"}
    deleted = [name for name in edit.deleted if name in there and name not in declared]
    before, policy, named = harbour.snapshot(), harbour.cluster.policy("port"), harbour.names()
    faulty = faults(before)
    words = [word for name in deleted for word in ("--delete", f"at/port/{name}")]
    bindings = [binding("port", role) for role in sorted(edit.brought)]
    text = "---\n".join(yaml.safe_dump(one) for one in (*edit.declared, *bindings))
    planned = harbour.caller.document("plan", "-f", "-", *words, "--image", IMAGE, stdin=text)
    assert not planned["refused"], planned
    assert changed(before, harbour.snapshot()) == {}, "a plan changes nothing"

    consent(harbour, edit.given | edit.brought)
    for one in edit.declared:
        harbour.apply(one)
    for name in deleted:
        harbour.cluster.delete("AccessToken", "port", name)
    wanted = {(one["kind"], one["namespace"], one["name"]): one for one in planned["changes"]}
    for place in (place for place, one in wanted.items() if one["verb"] == "delete"):
        wait(partial(is_gone, harbour, place), sentence=f"{place} stayed")
    settled(harbour.operator)
    after = harbour.snapshot()

    brought = {("RoleBinding", "port", role) for role in edit.brought}
    really = {place: verb for place, verb in changed(before, after).items() if place not in brought}
    assert {place: one["verb"] for place, one in wanted.items()} == {
        as_planned(place, verb): verb for place, verb in really.items()
    }
    for place, verb in really.items():
        if verb == "change" and place[0] != "Secret":
            assert told(wanted[place]["diff"]) == told(difference(before[place], after[place])), place
    rolls = any(one["why"].startswith("roll") for one in planned["pods"])
    deployment = ("Deployment", "port", "harbour")
    templates = [one[deployment]["spec"]["template"] for one in (before, after)]
    assert rolls == (templates[0] != templates[1])
    compare(planned, policy, harbour.cluster.policy("port"), named | harbour.names())
    foreseen = {(one["kind"], one["name"], one["reason"]) for one in planned["conditions"]}
    assert foreseen == {(kind, name, reason) for kind, name, _, reason in faults(after) - faulty}


def consent(harbour: Harbour, roles: set[str]) -> None:
    """The namespace lets these in and no others; returns when the API server and the operator know it."""
    cluster = harbour.cluster
    there = cluster.list("RoleBinding", "port")
    for role in CONSENTS:
        if role in roles and role not in there:
            cluster.consent("port", role)
        elif role not in roles and role in there:
            cluster.withdraw("port", role)
        wait(lambda role=role: harbour.is_let(role) is (role in roles))  # type: ignore[misc]
    for role in roles:
        missed = partial(cluster.condition, "Registry", "port", "harbour", CONSENTS[role])
        wait(lambda missed=missed: missed().get("reason") != "NotPermitted")  # type: ignore[misc]
    settled(harbour.operator)


def faults(there: Snapshot) -> set[tuple[str, str, str, str]]:
    """Conditions that are False for reasons that are certain before anything runs."""
    return {
        (kind, name, condition["type"], condition["reason"])
        for (kind, _, name), obj in there.items()
        if obj["apiVersion"] == API
        for condition in obj.get("status", {}).get("conditions") or ()
        if (condition["status"], condition["reason"] in CERTAIN) == ("False", True)
    }


def as_planned(place: tuple[str, str, str], verb: str) -> tuple[str, str, str]:
    """Shards of a policy are planned as one: which it is depends on UIDs that are not there yet."""
    kind, namespace, name = place
    return kind, namespace, re.sub(r"-policy-\d$", "-policy-*", name) if verb == "change" else name


def is_gone(harbour: Harbour, place: tuple[str, str, str]) -> bool:
    kind = "Claim" if place[0] == "Namespace" else place[0]
    return harbour.cluster.get(kind, *place[1:]) is None


def changed(before: Snapshot, after: Snapshot) -> dict[tuple[str, str, str], str]:
    """What really happened to each object, apart from its status."""
    found = {}
    for place in before.keys() | after.keys():
        old, new = before.get(place), after.get(place)
        if old is None or new is None:
            found[place] = "create" if old is None else "delete"
        elif content(old) != content(new):
            found[place] = "change"
    return found


def content(obj: Object) -> Object:
    metadata = {name: obj["metadata"].get(name) for name in ("uid", "labels", "annotations")}
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    return {**rest, "metadata": metadata}


def difference(before: Object, after: Object) -> tuple[str, ...]:
    """Of what is said of the object by whoever writes it."""
    kind = next(one for one in KINDS if (one.api_version, one.kind) == (after["apiVersion"], after["kind"]))
    key = Key(after["metadata"]["namespace"], after["metadata"]["name"])
    said = after if kind.group == "roadstead.dev" else applied(after, after)
    return diff(*both(Write(kind, key, before, said)))


def told(lines: Any) -> list[str]:
    return [line for line in lines if line[:1] in {"+", "-"}]


def compare(planned: Any, before: Policy, after: Policy, named: dict[str, str]) -> None:
    """Each decision that is another one was planned, and what was planned is another one."""
    found = planned["clients"].get("port/harbour", {"lost": [], "gained": []})
    names = ("pier/app", "pier/other", "pier/app/deep", "jetty/app", "jetty/app/x")
    for id_, who in named.items():
        for name in names:
            for action in Action:
                for door in Endpoint:
                    was, will = (may(policy, id_, name, action, door) for policy in (before, after))
                    if was != will:
                        side = "lost" if was else "gained"
                        assert any(is_of(one, who, name, action, door) for one in found[side]), (
                            side,
                            who,
                            name,
                            action,
                            door,
                        )
    ids = {who: id_ for id_, who in named.items()}
    for side, sign in (("lost", True), ("gained", False)):
        for one in (one for one in found[side] if one["client"] in ids):
            for action in one["actions"]:
                door = Endpoint.PUBLIC if one["domain"] != "private" else Endpoint.PRIVATE
                id_ = ids[one["client"]]
                assert may(before, id_, one["example"], Action(action), door) is sign, one
                assert may(after, id_, one["example"], Action(action), door) is not sign, one


def may(policy: Policy, id_: str, name: str, action: Action, door: Endpoint) -> bool:
    identity = Identity(id_, source="10.0.0.1")
    return decide(policy, identity, door, RepositoryName.parse(name), action, now=datetime.now(UTC)).allowed


def is_of(one: Object, who: str, name: str, action: Action, door: Endpoint) -> bool:
    domain = one["domain"] in {str(door), "public and private"}
    right = one["client"] == who and str(action) in one["actions"] and domain
    return right and matches(one["repositories"], name)
