"""Custom resources → values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from registry_operator.errors import InvalidResource
from registry_operator.models import AccessToken, Key, Registry, Selector, parse_time
from registry_operator.models.base import format_time

from tests.unit.operator.harbour import MADE, claim, metadata, registry, token


def test_a_registry_is_read_with_its_defaults() -> None:
    """Also one that was stored before a default existed."""
    read = registry(exposure={"hosts": ["other.test", "harbour.test"]})
    assert read.key == Key("harbour", "harbour")
    assert read.spec.private_host == "private.harbour.test"
    assert read.spec.public_hosts == ("harbour.test", "other.test")
    assert (read.spec.replicas, read.spec.zones.minimum) == (3, 3)
    assert read.status.observed_generation == -1
    assert not read.meta.deleting


def test_fields_of_a_later_version_are_ignored() -> None:
    """A rollback of the operator still reads what the newer one allowed."""
    assert registry(quota={"storage": "1Ti"}).spec.hostname == "harbour.test"


def test_what_cannot_be_read_is_named_without_its_value() -> None:
    """The sentence has the place and the field, never what stood there."""
    broken = {"metadata": metadata("harbour"), "spec": {"hostname": "s3cr3t!", "storage": {"s3": {}}}}
    with pytest.raises(InvalidResource) as raised:
        Registry.parse(broken)
    assert "Registry harbour/harbour: hostname" in raised.value.message
    assert "storage.s3.bucket" in raised.value.message
    assert "s3cr3t" not in raised.value.message
    with pytest.raises(InvalidResource, match="uid"):
        Registry.parse({"metadata": {"name": "x", "namespace": "y"}})


@pytest.mark.parametrize(
    ("spec", "end"),
    [
        ({}, None),
        ({"expiresAfter": "90s"}, MADE + timedelta(seconds=90)),
        ({"expiresAfter": "5m"}, MADE + timedelta(minutes=5)),
        ({"expiresAfter": "36h"}, MADE + timedelta(hours=36)),
        ({"expiresAfter": "999999d"}, MADE + timedelta(days=999999)),
        ({"expiresAt": "2030-01-01T02:00:00+02:00"}, datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_token(spec: dict[str, Any], end: datetime | None) -> None:
    """By the clock, or counted from when the resource was made: whoever reads it comes to the same."""
    assert token(**spec).expires == end


def test_names_that_are_not_given_follow_from_the_token() -> None:
    """Password Secret and pull secrets."""
    assert token().secret == Key("harbour", "deployer")
    assert token(secretName="other").secret == Key("harbour", "other")
    assert token().pull_secret_name == "deployer-pull"
    assert token(pullSecrets={"name": "regcred", "namespaces": []}).pull_secret_name == "regcred"


def test_a_reference_means_the_own_namespace_unless_it_names_another() -> None:
    """And a Registry that is named twice counts once."""
    refs = [{"name": "a"}, {"name": "a", "namespace": "east"}, {"name": "a", "namespace": "shop"}]
    assert token(account="shop", registryRefs=refs).registries == (Key("shop", "a"), Key("east", "a"))
    assert claim(account="east").registry == Key("harbour", "harbour")


def test_a_status_survives_the_way_to_the_api_and_back() -> None:
    """What is written is what is read, or every reconcile would write it again."""
    status = {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-11-20T12:00:00Z",
                "reason": "InForce",
                "message": "",
            }
        ],
        "id": "0123456789abcdef",
        "expiresAt": "2030-01-01T00:00:00Z",
        "targets": {"wanted": 2, "reached": 1},
    }
    spec = {"registryRefs": [{"name": "a"}]}
    read = AccessToken.parse({"metadata": metadata("t"), "spec": spec, "status": status})
    assert read.status.document() == status


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {"a": "1"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
    ],
)
def test_a_selector_matches_as_kubernetes_does(
    selector: dict[str, object], labels: dict[str, str], matches: bool
) -> None:
    """https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/"""
    assert Selector.model_validate(selector).matches(labels) is matches


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_no_calendar_has_is_a_fault_of_its_resource(at: str) -> None:
    """The API server takes any date-time; it must end no operator."""
    with pytest.raises(InvalidResource, match="year"):
        token(expiresAt=at)


def test_a_time_of_long_ago_is_written_with_four_digits() -> None:
    """RFC 3339 knows no other years."""
    assert format_time(parse_time("0033-04-03T15:00:00Z")) == "0033-04-03T15:00:00Z"
