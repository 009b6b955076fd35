"""The children of a Registry."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_operator import names
from registry_operator.desired.draft import draft
from registry_operator.desired.registry import render
from registry_operator.desired.rendered import Child, Rendered, fingerprint, identity
from registry_operator.models import Key, Registry, SecretRef
from registry_operator.observed import SecretData, SecretView
from registry_operator.tls import Certificate

from registry_runtime.contract.config import (
    Collection,
    RuntimeConfig,
    S3Storage,
    ServerSideEncryption,
    SseCustomer,
    SseKms,
    SseS3,
    Tracing,
    WebIdentity,
)
from registry_runtime.contract.policy import KEY
from tests.unit.operator.harbour import (
    NOW,
    S3,
    SETTINGS,
    accounts,
    claim,
    encrypted,
    observed,
    password_secret,
    registry,
    running,
    secrets_of,
    token,
    view,
)

ROLE = "arn:aws:iam::123456789012:role/harbour"


def deployment(rendered: Rendered) -> Child:
    found = rendered.child("Deployment", Key("harbour", "harbour"))
    assert found is not None
    return found


def config(rendered: Rendered) -> RuntimeConfig:
    found = rendered.child("ConfigMap", Key("harbour", "harbour-config"))
    assert found is not None
    return RuntimeConfig.model_validate_json(found["data"]["config.json"])


def test_every_child_is_found_again_and_goes_with_its_registry() -> None:
    """Each has the owner, the labels that watches select by, a fingerprint, and a name of its own."""
    children = render(observed(), SETTINGS).children
    assert len({identity(child) for child in children}) == len(children) == 19
    for child in children:
        metadata = child["metadata"]
        assert metadata["namespace"] == "harbour"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "roadstead"
        assert metadata["labels"][names.INSTANCE] == "harbour"
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Registry", "uid-harbour-harbour", True)
        assert owner["blockOwnerDeletion"] is False
        assert fingerprint(child)


def test_rendering_again_gives_the_same_bytes() -> None:
    """What was made at random is taken from what is there: a restart of the operator writes nothing."""
    seen, rendered = running(observed())
    later = replace(seen, now=NOW + timedelta(days=30))
    assert render(later, SETTINGS) == rendered


def test_a_due_certificate_is_the_only_thing_that_changes() -> None:
    """After 60 days the leaves are new; config, Deployment and CA are as they were, so no pod restarts."""
    seen, rendered = running(observed())
    renewed = render(replace(seen, now=NOW + timedelta(days=61)), SETTINGS)
    changed = {
        identity(after)[1].name
        for before, after in zip(rendered.children, renewed.children, strict=True)
        if fingerprint(before) != fingerprint(after)
    }
    assert changed == {"harbour-internal", "harbour-operator", "harbour-tls"}


def test_another_host_name_gets_its_certificate_and_a_rollout() -> None:
    """The certificate covers exactly the domains, and replicas learn of them at their start."""
    seen, before = running(observed())
    after = render(replace(seen, registry=registry(exposure={"hosts": ["other.test"]})), SETTINGS)
    values = secrets_of(after.children)[Key("harbour", "harbour-tls")].values
    assert Certificate.read(values).names == ("harbour.test", "other.test", "private.harbour.test")
    assert config(after).hosts == ("harbour.test", "other.test")
    assert config(after).private_hosts == ("private.harbour.test",)
    annotations = [deployment(one)["spec"]["template"]["metadata"]["annotations"] for one in (before, after)]
    assert annotations[0] != annotations[1]


def test_replicas_collect_as_declared() -> None:
    """Durations become seconds; a Registry that says nothing has the runtime's own defaults."""
    often = registry(collection={"every": "15m", "grace": "90s"})
    assert config(render(observed(often), SETTINGS)).collection == Collection(
        every_seconds=900, grace_seconds=90
    )
    assert config(render(observed(), SETTINGS)).collection == Collection()


def test_a_change_of_access_needs_no_rollout() -> None:
    """Tokens and claims change the policy and the ConfigMap of claims, and no other child."""
    seen, before = running(observed())
    robot = token()
    secret, made = password_secret(robot)
    secrets = SecretView({**seen.secrets.found, robot.secret: secret})
    after = render(replace(seen, tokens=(robot,), namespaces=(claim(),), secrets=secrets), SETTINGS)
    changed = {
        identity(new)
        for old, new in zip(before.children, after.children, strict=True)
        if fingerprint(old) != fingerprint(new)
    }
    assert {key.name.rstrip("0123") for _, key in changed} == {"harbour-claims", "harbour-policy-"}
    assert made.id in after.draft.policy.tokens
    assert after.draft.revision != before.draft.revision


def test_without_consent_nothing_is_rendered() -> None:
    """What runs goes on; the condition says the command."""
    refused = observed(secrets=view(refused=["harbour"]))
    assert render(refused, SETTINGS).children == ()


def test_a_policy_that_does_not_fit_stays_out_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a policy would lock users out; the old one goes on."""
    monkeypatch.setattr(names, "POLICY_BYTES", 100)
    robot = token()
    secret, _ = password_secret(robot)
    rendered = render(observed(tokens=(robot,), secrets=view({robot.secret: secret})), SETTINGS)
    assert rendered.draft.too_large
    assert [rendered.child("Secret", key) for key in names.policies(registry())] == [None] * 4
    assert deployment(rendered)


def test_ten_thousand_tokens_fit() -> None:
    """The number of shards is fixed, and enough for the largest Registry that is planned for."""
    robots = [token(f"robot-{number}") for number in range(500)]
    found = {robot.secret: password_secret(robot)[0] for robot in robots}
    policies = draft(observed(tokens=tuple(robots), secrets=view(found))).children[1:]
    largest = max(len(secrets_of([one]).popitem()[1].values[KEY]) for one in policies)
    assert largest * 20 < names.POLICY_BYTES * 1.2


def test_a_certificate_of_the_user_is_mounted_and_not_made() -> None:
    """Its own CA stays for the state port; certificate and bundle of an earlier spec are taken away."""
    given = registry(tls={"secretRef": {"name": "public"}})
    rendered = render(observed(given), SETTINGS)
    volumes = {
        volume["name"]: volume for volume in deployment(rendered)["spec"]["template"]["spec"]["volumes"]
    }
    assert volumes["tls"]["secret"]["secretName"] == "public"
    assert rendered.child("Secret", names.tls(given)) is None
    assert {("Secret", names.tls(given)), ("ConfigMap", names.ca_bundle(given))} <= set(rendered.unwanted)

    with_ca = view({Key("harbour", "public"): SecretData({"ca.crt": b"PEM"})})
    rendered = render(observed(given, secrets=with_ca), SETTINGS)
    bundle = rendered.child("ConfigMap", names.ca_bundle(given))
    assert bundle
    assert bundle["data"] == {"ca.crt": "PEM"}
    assert ("Secret", names.tls(given)) in rendered.unwanted
    assert ("ConfigMap", names.ca_bundle(given)) not in rendered.unwanted


def test_the_cas_key_reaches_no_pod() -> None:
    """It is in one Secret that nothing mounts, and the replicas' Role does not name it."""
    rendered = render(observed(), SETTINGS)
    pod = json.dumps(deployment(rendered))
    assert '"harbour-ca"' not in pod
    assert '"harbour-operator"' not in pod
    role = rendered.child("Role", Key("harbour", "harbour"))
    assert role
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [f"harbour-policy-{shard}" for shard in range(4)],
            "verbs": ["get", "list", "watch"],
        }
    ]


def pod(of: Registry | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(render(observed(of), SETTINGS))["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("replicas", "zones", "skews"),
    [
        (3, 3, [(1, "DoNotSchedule")]),
        (2, 3, [(1, "DoNotSchedule")]),
        (1, 1, [(1, "DoNotSchedule")]),
        (4, 3, [(2, "DoNotSchedule"), (1, "ScheduleAnyway")]),
        (9, 3, [(8, "DoNotSchedule"), (1, "ScheduleAnyway")]),
        (12, 3, [(8, "DoNotSchedule"), (1, "ScheduleAnyway")]),
    ],
)
def test_replicas_spread_over_zones(replicas: int, zones: int, skews: list[tuple[int, str]]) -> None:
    """A replica a zone waits for its zone; beyond that half may share one: no rollout stalls."""
    constraints = pod(registry(replicas=replicas, zones={"minimum": zones}))["topologySpreadConstraints"]
    over_zones = [one for one in constraints if one["topologyKey"] == "topology.kubernetes.io/zone"]
    assert [(one["maxSkew"], one["whenUnsatisfiable"]) for one in over_zones] == skews
    assert over_zones[0]["minDomains"] == zones
    assert constraints[-1]["topologyKey"] == "kubernetes.io/hostname"


def test_an_autoscaler_has_the_number_of_the_replicas() -> None:
    """The Deployment says none; what the autoscaler may reach decides how they spread, so no step rolls."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    extra = {
        "type": "Pods",
        "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "100"}},
    }
    wanted = {"maxReplicas": 12, "metrics": [extra], "behavior": behavior}
    scaled = registry(autoscaling=wanted)
    rendered = render(observed(scaled), SETTINGS)
    assert "replicas" not in deployment(rendered)["spec"]
    spread = deployment(rendered)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread[0]["maxSkew"] == 8
    made = rendered.child("HorizontalPodAutoscaler", scaled.key)
    assert made
    assert made["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "harbour",
    }
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (3, 12)
    cpu, own = made["spec"]["metrics"]
    assert cpu["containerResource"]["container"] == "registry"
    assert cpu["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert own == extra
    assert made["spec"]["behavior"] == behavior
    assert "HorizontalPodAutoscaler" not in dict(rendered.unwanted)


def test_a_pod_outlives_its_last_request() -> None:
    """The grace period is longer than waiting for the endpoints and the drain together."""
    spec, drain = pod(), config(render(observed(), SETTINGS)).limits.drain_seconds
    stop = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= stop + drain + 5


def test_everything_that_the_config_names_is_mounted() -> None:
    """Each path of the configuration lies below a mount of the container."""
    s3 = {"bucket": "harbour", "credentialsSecretRef": {"name": "s3"}, "caBundleRef": {"name": "ca"}}
    without: dict[str, Any] = {
        "bucket": "harbour",
        "workloadIdentity": {"roleARN": ROLE},
        "serverSideEncryption": {"type": "SSE-C", "keySecretRef": {"name": "sse"}},
    }
    choices: list[dict[str, Any]] = [{"s3": s3}, {"s3": without}, {"ephemeral": {}}]
    for storage in choices:
        of = encrypted(storage=storage, replicas=1)
        mounts = [mount["mountPath"] for mount in pod(of)["containers"][0]["volumeMounts"]]
        document = config(render(observed(of), SETTINGS)).model_dump(mode="json")
        paths = [value for value in leaves(document) if isinstance(value, str) and value.startswith("/")]
        assert "/etc/roadstead/keys" in paths
        assert len(paths) >= 5
        assert all(any(path.startswith(mount) for mount in mounts) for path in paths), (paths, mounts)


def test_a_role_is_taken_with_a_token_of_its_own() -> None:
    """Issued for the STS alone, for an hour; no Secret is mounted. Without a role the platform injects it."""
    declared = {"bucket": "harbour", "workloadIdentity": {"roleARN": ROLE, "audience": "the-sts"}}
    of = registry(storage={"s3": declared})
    volumes = {one["name"]: one for one in pod(of)["volumes"]}
    (source,) = volumes["identity"]["projected"]["sources"]
    assert source == {
        "serviceAccountToken": {"audience": "the-sts", "expirationSeconds": 3600, "path": "token"}
    }
    assert "credentials" not in volumes
    storage = config(render(observed(of), SETTINGS)).storage
    assert isinstance(storage, S3Storage)
    assert storage.identity == WebIdentity(
        role=ROLE, token=Path("/etc/roadstead/identity/token"), session="harbour.harbour"
    )
    injected = registry(storage={"s3": {"bucket": "harbour", "workloadIdentity": {}}})
    storage = config(render(observed(injected), SETTINGS)).storage
    assert isinstance(storage, S3Storage)
    assert (storage.credentials, storage.identity) == (None, None)
    assert not {"identity", "credentials"} & {one["name"] for one in pod(injected)["volumes"]}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (None, None),
        ({"type": "SSE-S3"}, SseS3()),
        ({"type": "SSE-KMS"}, SseKms()),
        ({"type": "SSE-KMS", "keyID": "1234"}, SseKms(key_id="1234")),
        (
            {"type": "SSE-C", "keySecretRef": {"name": "sse", "key": "k1"}},
            SseCustomer(key=Path("/etc/roadstead/sse/key")),
        ),
    ],
)
def test_what_the_server_shall_encrypt_is_in_the_config(
    declared: dict[str, Any] | None, expected: ServerSideEncryption | None
) -> None:
    """And of a customer's key only the path, the key itself is mounted."""
    of = registry(storage={"s3": S3 | ({"serverSideEncryption": declared} if declared else {})})
    storage = config(render(observed(of), SETTINGS)).storage
    assert isinstance(storage, S3Storage)
    assert storage.server_side_encryption == expected
    mounted = [one["secret"] for one in pod(of)["volumes"] if one["name"] == "sse"]
    items = [{"key": "k1", "path": "key"}]
    secret = {"secretName": "sse", "defaultMode": 0o440, "optional": True, "items": items}
    assert mounted == ([secret] if isinstance(expected, SseCustomer) else [])


def test_the_tenants_keys_are_mounted_and_copied_nowhere() -> None:
    """The whole Secret, which may come later than the pods; a change of `activeKey` restarts nothing."""
    first, second = (deployment(render(observed(encrypted(key)), SETTINGS)) for key in ("k1", "k2"))
    volumes = {one["name"]: one for one in first["spec"]["template"]["spec"]["volumes"]}
    assert volumes["keys"]["secret"] == {"secretName": "keys", "defaultMode": 0o440, "optional": True}
    assert first == second
    assert config(render(observed(), SETTINGS)).encryption is None
    assert "keys" not in {one["name"] for one in pod()["volumes"]}


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    return [value]


def test_two_contents_never_run_at_once() -> None:
    """An ephemeral Registry's pod ends before the next one begins."""
    of = registry(storage={"ephemeral": {}}, replicas=1)
    assert deployment(render(observed(of), SETTINGS))["spec"]["strategy"] == {"type": "Recreate"}


def test_the_cache_fits_its_volume() -> None:
    """A pod whose volume grows past its limit is evicted: the replica keeps well below it."""
    rendered = render(observed(registry(storage={"s3": S3})), SETTINGS)
    cache = config(rendered).cache
    assert cache is not None
    pod = deployment(rendered)["spec"]["template"]["spec"]
    (limit,) = [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if volume["name"] == "cache"]
    assert int(limit) > cache.size
    (container,) = pod["containers"]
    assert {"name": "cache", "mountPath": str(cache.path)} in container["volumeMounts"]


@pytest.mark.parametrize(
    ("endpoint", "ports", "namespace"),
    [
        (None, {443, 6443}, None),
        ("https://s3.test:7070", {443, 6443, 7070}, None),
        ("http://s3.test", {80, 443, 6443}, None),
        ("https://s3.s3-system.svc:7070", {443, 6443, 7070}, "s3-system"),
        ("https://s3.s3-system.svc.cluster.local", {443, 6443}, "s3-system"),
    ],
)
def test_replicas_may_reach_what_they_need(
    endpoint: str | None, ports: set[int], namespace: str | None
) -> None:
    """Names, the API server, the bucket; an endpoint inside the cluster at whatever port its pods have."""
    s3 = {"bucket": "harbour", "endpoint": endpoint, "credentialsSecretRef": {"name": "s3"}, "insecure": True}
    rendered = render(observed(registry(storage={"s3": s3})), SETTINGS)
    policy = rendered.child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    _, open_, *inside = policy["spec"]["egress"]
    assert {one["port"] for one in open_["ports"]} == ports
    found = [one["to"][0]["namespaceSelector"]["matchLabels"] for one in inside]
    assert found == ([{"kubernetes.io/metadata.name": namespace}] if namespace else [])


@pytest.mark.parametrize(
    ("identity", "ports"),
    [
        ({"roleARN": ROLE}, {443, 6443, 7070}),
        ({"roleARN": ROLE, "stsEndpoint": "https://sts.test:8081"}, {443, 6443, 7070, 8081}),
        ({}, {80, 443, 6443, 7070}),
    ],
)
def test_replicas_may_reach_the_sts(identity: dict[str, Any], ports: set[int]) -> None:
    """At its port; and the agent on the node, where the platform injects the identity."""
    s3 = {"bucket": "harbour", "endpoint": "https://s3.test:7070", "workloadIdentity": identity}
    rendered = render(observed(registry(storage={"s3": s3})), SETTINGS)
    policy = rendered.child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    _, *open_ = policy["spec"]["egress"]
    assert {one["port"] for rule in open_ for one in rule["ports"]} == ports
    to = [rule["to"] for rule in open_ if "to" in rule]
    agent = [{"ipBlock": {"cidr": "169.254.170.23/32"}}, {"ipBlock": {"cidr": "fd00:ec2::23/128"}}]
    assert to == ([] if identity else [agent])


def test_replicas_may_reach_issuers() -> None:
    """Each at its port, and behind a Service of the cluster at whatever port its pods have."""
    issuers = [
        "https://issuer.test",
        "https://dex.dex-system.svc:5556/dex",
        "https://login.test:8444/realms/a",
    ]
    oidc = [{"name": f"p{n}", "issuer": url, "audience": "a"} for n, url in enumerate(issuers)]
    rendered = render(observed(registry(authentication={"oidc": oidc})), SETTINGS)
    policy = rendered.child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    _, open_, inside = policy["spec"]["egress"]
    assert {one["port"] for one in open_["ports"]} >= {443, 5556, 8444}
    found = inside["to"][0]["namespaceSelector"]["matchLabels"]
    assert found == {"kubernetes.io/metadata.name": "dex-system"}


def test_the_state_port_is_open_to_the_operator_alone() -> None:
    """Everybody may come to the public domain, and nobody else to the rest."""
    policy = render(observed(), SETTINGS).child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    public, _, internal, probes = policy["spec"]["ingress"]
    assert "from" not in public
    assert {port["port"] for port in public["ports"]} == {8443}
    (peer,) = internal["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "roadstead-system"}
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "roadstead-operator"}
    assert probes["from"]


words = st.text(min_size=1, max_size=20)


@given(words, words)
def test_no_value_changes_the_structure(image: str, secret: str) -> None:
    """Whatever text comes in stands where it belongs, quotes, newlines and braces included."""
    s3 = {"bucket": "harbour", "credentialsSecretRef": {"name": "s3"}}
    plain = registry(storage={"s3": s3})
    spec = plain.spec.storage.s3
    assert spec
    reference = SecretRef.model_construct(name=secret)
    hostile = spec.model_copy(update={"credentials_secret_ref": reference})
    storage = plain.spec.storage.model_copy(update={"s3": hostile})
    of = replace(plain, spec=plain.spec.model_copy(update={"storage": storage}))
    rendered = deployment(render(observed(of), replace(SETTINGS, image=image)))
    template = rendered["spec"]["template"]["spec"]
    assert template["containers"][0]["image"] == image
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    assert volumes["credentials"]["secret"]["secretName"] == secret


def test_labels_of_accounts_reach_the_policy_only_through_consent() -> None:
    """A token of an account that is not let in is no part of the policy."""
    robot = token(account="shop")
    secret, made = password_secret(robot)
    seen = observed(
        tokens=(robot,), secrets=view({robot.secret: secret}), kubernetes_namespaces=accounts("shop")
    )
    assert render(seen, SETTINGS).draft.policy.tokens == {}
    open_ = replace(seen, registry=registry(allowedNamespaces={"from": "All"}))
    assert set(render(open_, SETTINGS).draft.policy.tokens) == {made.id}


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [
        ({}, {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}),
        ({"privateNetworks": ["198.51.100.0/24"]}, {"198.51.100.0/24"}),
        ({"privateNetworks": ["0.0.0.0/0"]}, {"0.0.0.0/0"}),
    ],
)
def test_the_private_domain_is_for_pods_and_private_networks(
    exposure: dict[str, Any], expected: set[str]
) -> None:
    """Nobody on the Internet reaches it, whatever stands in front of it; other subnets are named."""
    policy = render(observed(registry(exposure=exposure)), SETTINGS).child(
        "NetworkPolicy", Key("harbour", "harbour")
    )
    assert policy
    _, private, *_ = policy["spec"]["ingress"]
    assert [port["port"] for port in private["ports"]] == [8444]
    pods, *blocks = private["from"]
    assert pods == {"namespaceSelector": {}}
    assert {one["ipBlock"]["cidr"] for one in blocks} == expected


def test_the_private_domain_is_opened_by_naming_every_subnet() -> None:
    """To all, nodes included, whatever takes a subnet for what."""
    seen = observed(registry(exposure={"privateNetworks": ["::/0", "0.0.0.0/0"]}))
    policy = render(seen, SETTINGS).child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    assert "from" not in policy["spec"]["ingress"][1]


def test_traces_have_a_way_out() -> None:
    """The replicas know the collector, and their NetworkPolicy opens its port and its namespace."""
    tracing = {"endpoint": "http://collector.tracing.svc:4318/", "samplingRatePerMillion": 50}
    rendered = render(observed(registry(observability={"tracing": tracing})), SETTINGS)
    told = config(rendered).tracing
    assert told == Tracing(endpoint="http://collector.tracing.svc:4318", sampling_rate_per_million=50)
    policy = rendered.child("NetworkPolicy", Key("harbour", "harbour"))
    assert policy
    _, open_, *inside = policy["spec"]["egress"]
    assert 4318 in {one["port"] for one in open_["ports"]}
    spaces = [one["to"][0]["namespaceSelector"]["matchLabels"] for one in inside if "to" in one]
    assert {"kubernetes.io/metadata.name": "tracing"} in spaces
