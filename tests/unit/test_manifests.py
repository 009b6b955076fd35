"""manifests/ and the code name the same things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from registry_operator import names
from registry_operator.checks import in_use
from registry_operator.cluster.resources import BY_CONSENT
from registry_operator.desired.consent import mark
from registry_operator.models import AccessToken, Namespace, Registry
from registry_operator.settings import Settings

from registry_runtime.contract.config import Listeners

MANIFESTS = Path(__file__).parents[2] / "manifests"
STORED = {"uid": "u", "generation": 1, "creationTimestamp": "2026-11-21T00:00:00Z"}
Object = dict[str, Any]


def documents(file: str, kind: str, group: str = "") -> list[Object]:
    found = [one for one in yaml.safe_load_all((MANIFESTS / file).read_text()) if one["kind"] == kind]
    return [one for one in found if one["apiVersion"].startswith(group)]


def sample(file: str, kind: str) -> Object:
    (found,) = documents(f"samples/{file}", kind, "roadstead.dev")
    return {**found, "metadata": {**found["metadata"], **STORED}}


def test_the_operator_is_who_the_code_says_it_is() -> None:
    """The labels that replicas let in, and the account that the command in conditions names."""
    (deployment,) = documents("operator.yaml", "Deployment")
    pod = deployment["spec"]["template"]
    settings = Settings(image="x")
    assert names.OPERATOR_LABELS.items() <= pod["metadata"]["labels"].items()
    assert deployment["metadata"]["namespace"] == settings.namespace
    assert pod["spec"]["serviceAccountName"] == settings.service_account
    (account,) = documents("rights.yaml", "ServiceAccount")
    assert account["metadata"] | {"labels": None} == {
        "name": settings.service_account,
        "namespace": settings.namespace,
        "labels": None,
    }
    granted = {role["metadata"]["name"] for role in documents("tenants.yaml", "ClusterRole")}
    for role in (names.SECRETS_ROLE, names.REGISTRY_ROLE):
        assert role in granted
        command = settings.grant("shop", role)
        assert command.startswith(f"kubectl create rolebinding {role} --namespace shop --clusterrole={role} ")
        comment = (MANIFESTS / "tenants.yaml").read_text().replace(" \\\n#    ", "")
        assert settings.grant("NAMESPACE", role) in comment
    take = settings.take("NAMESPACE", names.SECRETS_ROLE, mark("ACCOUNT"))
    assert take in (MANIFESTS / "tenants.yaml").read_text().replace(" \\\n#    ", "")
    readme = (MANIFESTS.parent / "README.md").read_text().replace(" \\\n   ", "")
    for role in (names.SECRETS_ROLE, names.REGISTRY_ROLE):
        assert settings.grant("NAMESPACE", role) in readme
    assert take in readme


def test_one_operator_is_always_there_or_waits() -> None:
    """Two, on two nodes where there are two; a rollout and a drain take one after the other."""
    (deployment,) = documents("operator.yaml", "Deployment")
    spec, pod = deployment["spec"], deployment["spec"]["template"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    spread = {one["topologyKey"]: one for one in pod["spec"]["topologySpreadConstraints"]}
    hosts, zones = spread["kubernetes.io/hostname"], spread["topology.kubernetes.io/zone"]
    assert (hosts["whenUnsatisfiable"], zones["whenUnsatisfiable"]) == ("DoNotSchedule", "ScheduleAnyway")
    for one in spread.values():
        assert one["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert one["matchLabelKeys"] == ["pod-template-hash"]  # else the old ones hold up the new ones
    (container,) = pod["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (budget,) = documents("operator.yaml", "PodDisruptionBudget")
    assert budget["spec"]["selector"] == spec["selector"]
    assert budget["spec"]["maxUnavailable"] == 1


def test_a_namespace_that_only_takes_pull_secrets_gives_nothing_more() -> None:
    """Its Secrets, the lists of its ServiceAccounts, and the end of its own tokens; nothing may run."""
    (role,) = [
        one
        for one in documents("tenants.yaml", "ClusterRole")
        if one["metadata"]["name"] == names.SECRETS_ROLE
    ]
    granted = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert granted == {
        "secrets": {"get", "list", "watch", "create", "patch", "delete"},
        "serviceaccounts": {"patch"},
        "accesstokens": {"delete"},
    }


def test_the_operator_may_reach_the_state_port() -> None:
    """And only that of Roadstead's own replicas."""
    (policy,) = [one for one in documents("network.yaml", "NetworkPolicy") if one["spec"]["podSelector"]]
    *_, state = policy["spec"]["egress"]
    assert [port["port"] for port in state["ports"]] == [Listeners().internal]
    (peer,) = state["to"]
    assert peer["podSelector"]["matchLabels"][names.NAME] == names.RUNTIME
    assert policy["spec"]["podSelector"]["matchLabels"] == names.OPERATOR_LABELS


def test_the_operator_has_no_right_to_secrets() -> None:
    """Neither in the cluster nor in its own namespace."""
    for kind in ("ClusterRole", "Role"):
        for role in documents("rights.yaml", kind):
            for rule in role["rules"]:
                assert "secrets" not in rule["resources"], role["metadata"]["name"]
                assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]


def test_in_the_whole_cluster_only_statuses_finalizers_and_events_are_written() -> None:
    """Whoever may create a Deployment, or bind a role, anywhere may read every Secret."""
    writes = set()
    for role in documents("rights.yaml", "ClusterRole"):
        for rule in role["rules"]:
            if set(rule["verbs"]) - {"get", "list", "watch"}:
                writes |= set(rule["resources"])
    statuses = {"registries/status", "namespaces/status", "accesstokens/status"}
    assert writes == {*statuses, "registries", "events"}


def test_the_admission_policies_name_who_and_what_the_code_does() -> None:
    """The operator's account, its finalizer, and the condition that refuses a deletion."""
    guard, own = documents("deletion.yaml", "ValidatingAdmissionPolicy")
    settings = Settings(image="x")
    (who,) = own["spec"]["matchConditions"]
    account = f"system:serviceaccount:{settings.namespace}:{settings.service_account}"
    assert who["expression"].endswith(f'"{account}"')
    for variable in own["spec"]["variables"]:
        assert f'one != "{names.CONTENT}"' in variable["expression"]
    used, _ = guard["spec"]["variables"]
    assert f'one.type == "{in_use.TYPE}"' in used["expression"]


def test_the_code_knows_what_consent_covers() -> None:
    """A 403 for these is mended by a RoleBinding; for what is not among them by the installation.

    An AccessToken is deleted at its end only where there is a RoleBinding: a 403 is the installation's then.
    """
    asked = {names.REGISTRY_ROLE, *names.CONSENT.values()}
    found = [one for one in documents("tenants.yaml", "ClusterRole") if one["metadata"]["name"] in asked]
    assert len(found) == len(asked)
    granted = {resource for role in found for rule in role["rules"] for resource in rule["resources"]}
    assert granted - {"accesstokens"} == {resource.plural for resource in BY_CONSENT}


def test_the_samples_belong_together() -> None:
    """Registry, claim, token and application name each other as a user would expect."""
    registry = Registry.parse(sample("registry.yaml", "Registry"))
    claim = Namespace.parse(sample("namespace.yaml", "Namespace"))
    token = AccessToken.parse(sample("accesstoken.yaml", "AccessToken"))
    (app,) = documents("samples/app.yaml", "Deployment")
    assert claim.registry == registry.key
    assert token.registries == (registry.key,)
    pod = app["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": token.pull_secret_name}]
    assert token.spec.pull_secrets
    assert token.spec.pull_secrets.namespaces == (app["metadata"]["namespace"],)
    (binding,) = documents("samples/accesstoken.yaml", "RoleBinding")
    assert binding["metadata"]["annotations"] == {mark(token.meta.namespace): "true"}
    repository = f"{registry.spec.hostname}/{claim.spec.name}/"
    assert pod["containers"][0]["image"].startswith(repository)
    assert token.spec.permissions[0].repositories == (f"{claim.spec.name}/**",)
    bound = {"registry.yaml": names.REGISTRY_ROLE, "accesstoken.yaml": names.SECRETS_ROLE}
    for file, kind in (("registry.yaml", registry), ("accesstoken.yaml", app)):
        (binding,) = documents(f"samples/{file}", "RoleBinding")
        namespace = kind.meta.namespace if isinstance(kind, Registry) else kind["metadata"]["namespace"]
        assert binding["metadata"]["namespace"] == namespace
        assert binding["metadata"]["name"] == binding["roleRef"]["name"] == bound[file]
        assert binding["subjects"][0]["name"] == Settings(image="x").service_account


def test_the_example_of_the_guide_is_understood() -> None:
    """docs/pull-secrets.md shows every field that pull secrets have."""
    guide = (MANIFESTS.parent / "docs" / "pull-secrets.md").read_text()
    (example, *_) = [part.split("```")[0] for part in guide.split("```yaml\n")[1:]]
    written = yaml.safe_load(example)
    token = AccessToken.parse({**written, "metadata": {**written["metadata"], **STORED}})
    assert token.spec.pull_secrets
    assert written["spec"]["pullSecrets"].keys() == {
        field.alias or name for name, field in type(token.spec.pull_secrets).model_fields.items()
    }
    command = Settings(image="x").take("shop", names.SECRETS_ROLE, mark("harbour"))
    assert command in guide.replace(" \\\n ", "")


def test_who_plans_reads_what_the_operator_reads_and_writes_dry_runs() -> None:
    """A child that the operator reads is part of every plan; Secrets and statuses are not."""
    (operator,) = [
        one for one in documents("rights.yaml", "ClusterRole") if named(one) == "roadstead-operator"
    ]
    (plan,) = documents("plan/plan.yaml", "ClusterRole")
    unneeded = {("events.k8s.io", "events")}
    assert reads(operator) - unneeded <= reads(plan)
    assert ("", "secrets") not in reads(plan)
    written = {rule["apiGroups"][0] for rule in plan["rules"] if {"patch", "delete"} & {*rule["verbs"]}}
    assert written == {"roadstead.dev"}
    (policy,) = documents("plan/plan.yaml", "ValidatingAdmissionPolicy")
    (account,) = documents("plan/plan.yaml", "ServiceAccount")
    user = f"system:serviceaccount:{account['metadata']['namespace']}:{named(account)}"
    assert user in policy["spec"]["matchConditions"][0]["expression"]


def named(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def reads(role: Object) -> set[tuple[str, str]]:
    """Groups and resources that the role lists."""
    return {
        (group, resource)
        for rule in role["rules"]
        if "list" in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
