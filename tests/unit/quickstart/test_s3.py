"""What is secret about the sample S3 server, and how it reaches the manifest."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from quickstart import s3

SAMPLE = Path(__file__).parents[3] / s3.MANIFEST
IMAGE = "roadstead.local/versitygw:1"


@pytest.fixture
def sample() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(SAMPLE.read_text()))


@pytest.fixture
def made() -> dict[tuple[str, str], dict[str, str]]:
    """Decoded data of what is generated, by name and namespace."""
    return {
        s3.place(item): {
            key: base64.b64decode(value).decode() if item["kind"] == "Secret" else value
            for key, value in item["data"].items()
        }
        for item in s3.generate("harbour")
    }


def test_the_tenant_gets_what_the_server_expects(made: dict[tuple[str, str], dict[str, str]]) -> None:
    """The tenant's key is the account's, its bucket is its own, and it is not the administrator."""
    tenant = made["harbour-s3", "harbour"]
    accounts = json.loads(made["s3-accounts", "s3-system"]["users.json"])["accessAccounts"]

    assert accounts[tenant["accessKeyID"]]["secret"] == tenant["secretAccessKey"]
    assert accounts[tenant["accessKeyID"]]["role"] == "user"
    assert made["s3-accounts", "s3-system"]["buckets"] == f"harbour {tenant['accessKeyID']}\n"
    assert made["s3-root", "s3-system"]["accessKeyID"] not in accounts
    assert made["s3-root", "s3-system"]["secretAccessKey"] != tenant["secretAccessKey"]


def test_the_certificate_is_trusted_by_the_tenants_bundle(
    made: dict[tuple[str, str], dict[str, str]],
) -> None:
    """The certificate carries the Service's names and is issued by the CA in the tenant's ConfigMap."""
    leaf = x509.load_pem_x509_certificate(made["s3-tls", "s3-system"]["tls.crt"].encode())
    authority = x509.load_pem_x509_certificate(made["s3-ca", "harbour"]["ca.crt"].encode())

    leaf.verify_directly_issued_by(authority)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    host = s3.ENDPOINT.removeprefix("https://").partition(":")[0]
    assert host in names.get_values_for_type(x509.DNSName)
    assert "localhost" in names.get_values_for_type(x509.DNSName)


def test_no_two_calls_make_the_same_secret() -> None:
    """Credentials are random each time, and never shown by repr()."""
    assert s3.generate("harbour") != s3.generate("harbour")
    credentials = s3.Credentials.random("harbour")
    assert credentials.secret_access_key not in repr(credentials)


def test_the_sample_holds_no_secret(sample: list[dict[str, Any]]) -> None:
    """Nothing committed lets anyone in: Secrets are only referred to, and each is one that is generated."""
    assert not [item for item in sample if item["kind"] in {"Secret", "ConfigMap"}]
    (pod,) = s3.pod_templates(sample)
    volumes = {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
    settings = [
        setting["valueFrom"]["secretKeyRef"]
        for setting in pod["spec"]["containers"][0]["env"]
        if "valueFrom" in setting
    ]
    generated = {
        name for name, namespace in map(s3.place, s3.generate("harbour")) if namespace == s3.NAMESPACE
    }
    assert volumes | {reference["name"] for reference in settings} == generated


def test_every_container_gets_the_image_and_the_sample_stays_as_it_was(sample: list[dict[str, Any]]) -> None:
    """The image is replaced in a copy."""
    (before,) = s3.pod_templates(sample)
    (pod,) = s3.pod_templates(s3.with_image(sample, IMAGE))

    containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    assert {container["image"] for container in containers} == {IMAGE}
    assert IMAGE not in json.dumps(before)


def test_new_secrets_start_a_new_pod_and_old_ones_do_not(sample: list[dict[str, Any]]) -> None:
    """The checksum follows the data alone, not the order, nor what an API server adds."""
    first, second = s3.generate("harbour"), s3.generate("harbour")
    served = [{**item, "metadata": {**item["metadata"], "uid": "1"}} for item in reversed(first)]

    assert s3.checksum(first) == s3.checksum(served)
    assert s3.checksum(first) != s3.checksum(second)
    (pod,) = s3.pod_templates(s3.with_checksum(sample, s3.checksum(first)))
    assert pod["metadata"]["annotations"] == {s3.CHECKSUM: s3.checksum(first)}


def test_the_server_runs_restricted_but_for_owning_its_directory(sample: list[dict[str, Any]]) -> None:
    """The container that serves has no rights at all; the one that is root has one, and ends."""
    (pod,) = s3.pod_templates(sample)
    server = pod["spec"]["containers"][0]["securityContext"]
    owner = pod["spec"]["initContainers"][0]["securityContext"]

    assert server["runAsNonRoot"]
    assert server["readOnlyRootFilesystem"]
    assert server["capabilities"] == {"drop": ["ALL"]}
    assert not server["allowPrivilegeEscalation"]
    assert owner["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert not pod["spec"]["automountServiceAccountToken"]
