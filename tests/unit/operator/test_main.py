"""How the operator starts: its settings, its logs, its metrics, its credentials, its fence."""

import json
import logging

import pytest
from aiohttp import web
from registry_operator.cluster import Version
from registry_operator.cluster.resources import CONFIG_MAPS, LEASES, SECRETS, resource_of
from registry_operator.errors import (
    AdmissionDenied,
    NamespaceTerminating,
    NotFound,
    NotPermitted,
    OperatorError,
    QuotaExceeded,
    Refused,
    Unavailable,
    WriteConflict,
)
from registry_operator.log import Json
from registry_operator.metrics import Metrics
from registry_operator.settings import Settings

from tests.unit.operator.scripted import ScriptedApi, obj, scripted, status


def test_settings_come_from_the_environment() -> None:
    """What the Deployment sets, and defaults for the rest."""
    settings = Settings.read(
        {"RUNTIME_IMAGE": "r/runtime:1", "OPERATOR_NAMESPACE": "ops", "API_PORTS": "443, 8443"}
    )
    assert (settings.image, settings.namespace, settings.api_ports) == ("r/runtime:1", "ops", (443, 8443))
    assert settings.service_account == "roadstead-operator"


@pytest.mark.parametrize(
    ("environ", "word"),
    [({}, "RUNTIME_IMAGE"), ({"RUNTIME_IMAGE": "x", "API_PORTS": "https"}, "API_PORTS")],
)
def test_what_is_missing_or_wrong_is_named(environ: dict[str, str], word: str) -> None:
    """The variable, and what it must be."""
    with pytest.raises(OperatorError, match=word):
        Settings.read(environ)


def test_a_log_line_is_json_with_its_fields() -> None:
    """One object a line, whatever stands in the message."""
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": 'two\n"lines"', "work": "Policy/a/b"}
    )
    line = Json().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == 'two\n"lines"'
    assert json.loads(line)["work"] == "Policy/a/b"


def test_metrics_are_prometheus_text() -> None:
    """Counters, gauges, and histograms that add up."""
    metrics = Metrics()
    metrics.request("get", "pods", 200)
    metrics.request("get", "pods", 200)
    metrics.durations.observe(0.02, "Policy")
    metrics.durations.observe(61, "Policy")
    metrics.depth.reads_one(lambda: 3)
    lines = metrics.text().splitlines()
    assert 'roadstead_api_requests_total{verb="get",resource="pods",code="200"} 2' in lines
    assert 'roadstead_reconcile_seconds_bucket{kind="Policy",le="0.025"} 1' in lines
    assert 'roadstead_reconcile_seconds_bucket{kind="Policy",le="+Inf"} 2' in lines
    assert 'roadstead_reconcile_seconds_count{kind="Policy"} 2' in lines
    assert "roadstead_queue_depth 3" in lines


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (404, NotFound),
        (403, NotPermitted),
        (409, WriteConflict),
        (422, Refused),
        (400, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (401, Unavailable),
    ],
)
async def test_an_answer_becomes_an_error_of_ours(code: int, error: type[OperatorError]) -> None:
    """Once, at the door, with the place in the sentence."""
    api = ScriptedApi()
    api.on("/api/v1/namespaces/shop/configmaps/a", status(code, "", "said the server"))
    async with scripted(api) as cluster:
        with pytest.raises(error, match="ConfigMap shop/a"):
            await cluster.get(CONFIG_MAPS, "shop", "a")


RBAC = 'configmaps "a" is forbidden: User "system:serviceaccount:s:o" cannot patch resource "configmaps" in'
GRANT = 'roles "a" is forbidden: user "o" is attempting to grant RBAC permissions not currently held: {}'
QUOTA = 'deployments.apps "a" is forbidden: exceeded quota: none, requested: count/deployments.apps=1'
LIMITS = 'configmaps "a" is forbidden: failed quota: none: must specify limits.cpu'
ENDS = 'configmaps "a" is forbidden: unable to create content in namespace a because it is being terminated'
HOOK = 'admission webhook "policy.example.com" denied the request: no label team'


@pytest.mark.parametrize(
    ("sentence", "error", "namespace"),
    [
        (RBAC, NotPermitted, "shop"),
        (GRANT, NotPermitted, "shop"),
        ("", NotPermitted, "shop"),  # something before the API server answered
        (QUOTA, QuotaExceeded, None),
        (LIMITS, QuotaExceeded, None),
        (ENDS, NamespaceTerminating, None),
        (HOOK, AdmissionDenied, None),
    ],
)
async def test_a_refused_write_is_not_always_a_missing_right(
    sentence: str, error: type[OperatorError], namespace: str | None
) -> None:
    """Admission answers 403, too; only a missing right names the namespace that has to opt in."""
    api = ScriptedApi()
    answer = status(403, "Forbidden", sentence) if sentence else wordless
    api.on("/api/v1/namespaces/shop/configmaps/a", answer)
    async with scripted(api) as cluster:
        with pytest.raises(error) as raised:
            await cluster.apply(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}},
                None,
            )
    assert type(raised.value) is error
    assert sentence in raised.value.message
    assert getattr(raised.value, "namespace", None) == namespace


async def wordless(_: web.Request) -> web.StreamResponse:
    """A 403 without a Status."""
    return web.Response(status=403)


async def test_a_missing_right_to_read_is_the_installations_except_for_secrets() -> None:
    """Only Secrets are read by consent."""
    api = ScriptedApi()
    api.on("/api/v1/namespaces/shop/configmaps/a", status(403, "Forbidden", RBAC))
    api.on("/api/v1/namespaces/shop/secrets/a", status(403, "Forbidden", RBAC))
    async with scripted(api) as cluster:
        for resource, namespace in ((CONFIG_MAPS, ""), (SECRETS, "shop")):
            with pytest.raises(NotPermitted) as raised:
                await cluster.get(resource, "shop", "a")
            assert raised.value.namespace == namespace


async def test_who_leads_no_longer_writes_nothing_but_leases() -> None:
    """The fence is before the request: nothing reaches the API server."""
    api = ScriptedApi()
    child = obj("a", "") | {"apiVersion": "v1", "kind": "ConfigMap"}
    async with scripted(api) as cluster:
        cluster.may_write = lambda: False
        there = Version("uid", "1")
        writes = (
            cluster.create(child),
            cluster.apply(child, None),
            cluster.apply_status(child, there),
            cluster.merge(CONFIG_MAPS, "shop", "a", {}, there),
            cluster.delete(CONFIG_MAPS, "shop", "a", there),
        )
        for write in writes:
            with pytest.raises(Unavailable, match="leads no longer"):
                await write
        assert not api.asked
        lease = obj("a", "") | {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
        with pytest.raises(NotFound):
            await cluster.replace(lease)


def test_an_object_of_an_unknown_kind_is_refused() -> None:
    """A template cannot make the operator write what it does not know."""
    with pytest.raises(Refused, match="Node"):
        resource_of({"apiVersion": "v1", "kind": "Node"})
