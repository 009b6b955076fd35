"""manifests/monitoring/ with the real things: the Prometheus Operator's CRDs, promtool, an operator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from registry_operator.metrics import Metrics

from local_cluster.parts import Parts
from tests.monitoring import alerts, expressions, without_variables
from tests.operator.apiserver import ApiServer, Object, Refusal, Spare
from tests.operator.operator_process import Operator

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
CRDS = Path(__file__).parent / "prometheus_operator"
MODULE = "github.com/prometheus-operator/prometheus-operator"
STRICT = "fieldValidation=Strict&fieldManager=tests&force=true"
PARTS = Parts(Path(os.environ.get("ROADSTEAD_CACHE", Path.home() / ".cache" / "roadstead")))

REGISTRY = 'namespace="harbour",registry="harbour",pod="harbour-0"'
STEADY = "0+60x240"  # one a second
NEVER = "0x240"


class Case(NamedTuple):
    """Series by minutes (promtool's notation) under which an alert fires, and under which it does not."""

    bad: dict[str, str]
    good: dict[str, str]
    minutes: int = 60


def condition(name: str) -> Case:
    series = f'roadstead_registry_condition{{namespace="harbour",registry="harbour",condition="{name}"}}'
    return Case({series: "0x240"}, {series: "1x240"})


def one(name: str, bad: str, good: str, labels: str = REGISTRY, minutes: int = 60) -> Case:
    series = f"{name}{{{labels}}}"
    return Case({series: bad}, {series: good}, minutes)


def slow(name: str, labels: str = "") -> Case:
    """A histogram whose requests all take nine seconds, or a few milliseconds."""
    buckets = ("0.005", "10.0", "+Inf")
    of = [f'{name}_bucket{{{labels}{"," if labels else ""}le="{bound}"}}' for bound in buckets]
    return Case(dict(zip(of, (NEVER, STEADY, STEADY), strict=True)), dict.fromkeys(of, STEADY))


def share(name: str, good: str, bad: str, more: str = REGISTRY) -> Case:
    """Half of all with the labels `bad`, or none."""
    fine, faulty = (f"{name}{{{labels}{',' if more else ''}{more}}}" for labels in (good, bad))
    return Case({fine: STEADY, faulty: STEADY}, {fine: STEADY, faulty: NEVER})


READY = f"roadstead_ready{{{REGISTRY}}}"


def checked(reason: str) -> str:
    """The series of a replica for whose check ended so."""
    return f'roadstead_self_check{{{REGISTRY},reason="{reason}"}}'


CASES: dict[str, Case] = {
    "RoadsteadRegistryUnavailable": condition("Available"),
    "RoadsteadRegistryNotReady": condition("Ready"),
    "RoadsteadStorageNotReady": condition("StorageReady"),
    "RoadsteadSelfCheckFailing": Case(
        {checked("SelfCheckLate"): "1x240", checked("Passed"): NEVER},
        {checked("SelfCheckFailed"): "0x2 1x2 0x240", checked("Checking"): "1x240"},
    ),
    "RoadsteadSelfCheckMissing": Case(
        {READY: "1x240", checked("Checking"): "1x240", checked("Passed"): NEVER},
        {READY: "1x240", checked("Checking"): "1x10 0x240", checked("SelfCheckFailed"): "0x10 1x240"},
    ),
    "RoadsteadZoneMissing": condition("ZoneRedundant"),
    "RoadsteadReplicasMissing": Case(
        {
            f"roadstead_registry_replicas{{{REGISTRY}}}": "3x240",
            f"roadstead_registry_ready_replicas{{{REGISTRY}}}": "2x240",
        },
        {
            f"roadstead_registry_replicas{{{REGISTRY}}}": "3x240",
            f"roadstead_registry_ready_replicas{{{REGISTRY}}}": "3x240",
        },
    ),
    "RoadsteadPolicyNotPropagated": condition("PolicyPropagated"),
    "RoadsteadPolicyRefused": one("roadstead_policy_refusals_total", "0x50 1x100", NEVER),
    "RoadsteadCertificateExpiring": one(
        "roadstead_certificate_expiry_timestamp_seconds", "864000x240", "8640000x240", minutes=120
    ),
    "RoadsteadEncryptionProblem": one("roadstead_encryption_problem", "1x240", NEVER),
    "RoadsteadErrorsHigh": share("roadstead_requests_total", 'code="200"', 'code="503"'),
    "RoadsteadManifestsSlow": slow("roadstead_request_seconds", f'noun="manifest",method="GET",{REGISTRY}'),
    "RoadsteadEventLoopBlocked": slow("roadstead_event_loop_lag_seconds", REGISTRY),
    "RoadsteadAuditLogLost": one("roadstead_log_lost_total", "0x50 7x100", NEVER),
    "RoadsteadS3Errors": share("roadstead_s3_requests_total", 'code="200"', 'code="none"'),
    "RoadsteadS3Throttled": one("roadstead_s3_throttled_total", STEADY, NEVER),
    "RoadsteadCollectionFailing": one(
        "roadstead_collection_runs_total", "0x10 1x240", NEVER, f'result="failed",{REGISTRY}', 120
    ),
    "RoadsteadBlobsLost": one("roadstead_collection_lost_blobs", "2x240", NEVER),
    "RoadsteadOperatorAbsent": Case({"up": "1x240"}, {"roadstead_leader": "1x240"}),
    "RoadsteadOperatorNotLeading": one("roadstead_leader", NEVER, "1x240", ""),
    "RoadsteadReconcilesFailing": one("roadstead_queue_failing", "1x240", NEVER, 'kind="Registry"'),
    "RoadsteadReconcileFault": one(
        "roadstead_reconciles_total", "0x50 1x100", NEVER, 'kind="Registry",result="fault"'
    ),
    "RoadsteadQueueStuck": one("roadstead_queue_oldest_seconds", "301+60x240", "2x240", ""),
    "RoadsteadPolicySlow": slow("roadstead_policy_propagation_seconds"),
    "RoadsteadKubernetesApiErrors": share("roadstead_api_requests_total", 'code="200"', 'code="0"', ""),
    "RoadsteadWatchRestarts": one("roadstead_watch_restarts_total", "0+1x240", NEVER, ""),
    "RoadsteadAccessTokensExpiring": one(
        "roadstead_access_tokens_expiring", "1x240", NEVER, 'namespace="harbour"', 120
    ),
    "RoadsteadRotationLate": one(
        "roadstead_access_tokens_rotation_late", "1x240", NEVER, 'namespace="harbour"', 120
    ),
}
# A p99 of ten seconds and more needs the next bucket; and what falls over a whole day needs no steady rise.
CASES["RoadsteadPolicySlow"].bad['roadstead_policy_propagation_seconds_bucket{le="10.0"}'] = NEVER
CASES["RoadsteadPolicySlow"].bad['roadstead_policy_propagation_seconds_bucket{le="60.0"}'] = STEADY


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The alerts as Prometheus itself reads them."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    document = yaml.safe_load((ROOT / "manifests/monitoring/alerts.yaml").read_text())
    file.write_text(yaml.safe_dump(document["spec"]))
    return file


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(PARTS.binary("promtool")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_every_alert_is_seen_to_fire_and_not_to_fire(rules: Path) -> None:
    """promtool evaluates each over hours of trouble, and over hours of peace."""
    assert set(CASES) == set(alerts())
    tests = [
        {
            "name": f"{name} {'fires' if firing else 'is quiet'}",
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                    "eval_time": f"{case.minutes}m",
                    "exp_samples": [{"labels": "{}", "value": int(firing)}],
                }
            ],
        }
        for name, case in CASES.items()
        for firing, series in ((True, case.bad), (False, case.good))
    ]
    file = rules.with_name("tests.yaml")
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    ran = promtool("test", "rules", str(file))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_reads_every_expression(rules: Path) -> None:
    """Rules, their templates, and what the dashboards ask, parsed by Prometheus' own parser."""
    asked = [without_variables(one) for one in expressions()]
    assert len(asked) > 50
    queries = [{"record": f"dashboard:{number}", "expr": one} for number, one in enumerate(asked)]
    file = rules.with_name("queries.yaml")
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": queries}]}))
    for one in (rules, file):
        checked = promtool("check", "rules", "--lint=none", str(one))
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_operators_page_is_what_is_declared(operator: Operator) -> None:
    """What a running operator serves is valid, and has every family of docs/metrics.md with its labels."""
    page = operator.metrics()
    said = re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)
    assert said == [(one.name, one.kind) for one in Metrics().families()]
    checked = subprocess.run(
        [str(PARTS.binary("promtool")), "check", "metrics"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_replica_that_says_nothing_of_a_check_is_missing_one_and_one_that_rests_is_not(rules: Path) -> None:
    """An older release has no such series; one that is not ready has not begun."""
    expr = 'count(ALERTS{alertname="RoadsteadSelfCheckMissing",alertstate="firing"}) or vector(0)'
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": READY, "values": values}],
            "promql_expr_test": [
                {"expr": expr, "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": firing}]}
            ],
        }
        for values, firing in (("1x240", 1), (NEVER, 0))
    ]
    file = rules.with_name("silent.yaml")
    document = {"rule_files": [rules.name], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    ran = promtool("test", "rules", str(file))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def server(spare: Spare) -> Iterator[ApiServer]:
    """With the CRDs that the Prometheus Operator installs; not the one that the operator works with."""
    with spare.taken() as server:
        for name in ("podmonitors", "prometheusrules", "servicemonitors"):
            crd = yaml.safe_load((of_prometheus() / f"monitoring.coreos.com_{name}.yaml").read_text())
            place = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            server.ask("POST", place, crd)
        system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "roadstead-system"}}
        server.ask("POST", "/api/v1/namespaces", system)
        yield server


def of_prometheus() -> Path:
    """The CRDs of the module that go.mod pins; go.sum holds its content."""
    asked = ["go", "mod", "download", "-json", MODULE]
    told = subprocess.run(asked, cwd=CRDS, capture_output=True, text=True, check=True, timeout=300)
    return Path(json.loads(told.stdout)["Dir"]) / "example" / "prometheus-operator-crd"


def test_the_prometheus_operators_schemas_take_it(server: ApiServer) -> None:
    """Each object as `kubectl apply --server-side -k` sends it; unknown fields are errors."""
    objects = kustomized("manifests/monitoring")
    assert [one["kind"] for one in objects].count("ConfigMap") == 1
    for obj in objects:
        stored = applied(server, obj)
        assert stored["metadata"]["uid"]
    (dashboards,) = [one for one in objects if one["kind"] == "ConfigMap"]
    assert set(dashboards["data"]) == {"fleet.json", "registry.json", "operator.json"}


def applied(server: ApiServer, obj: Object) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    place = (
        f"{root}/namespaces/{obj['metadata']['namespace']}/{obj['kind'].lower()}s/{obj['metadata']['name']}"
    )
    for _ in range(200):
        try:
            return server.ask("PATCH", f"{place}?{STRICT}", obj, "application/apply-patch+yaml")
        except Refusal as refusal:  # the API server begins to serve a new CRD a moment later
            if refusal.code != HTTPStatus.NOT_FOUND:
                raise
            time.sleep(0.05)
    raise AssertionError(place)


def kustomized(folder: str) -> Sequence[Object]:
    command = [str(PARTS.binary("kubectl")), "kustomize", str(ROOT / folder)]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return list(yaml.safe_load_all(printed.stdout))
