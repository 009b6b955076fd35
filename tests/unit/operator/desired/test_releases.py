"""What the pods of a release are made of never changes: `releases/r<revision>.json` has it, byte for byte.

`python -m tests.unit.operator.desired.test_releases` writes the newest revision's, which is right until that
revision was published with a version of Roadstead. From then on a change of a template, of what fills it in,
or of the configuration is a new revision beside it (docs/decisions/0042-a-release-is-written-down.md).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from registry_operator import names, seen
from registry_operator.desired.registry import render
from registry_operator.desired.release import TEMPLATES, asked, newest, running
from registry_operator.models import Key, Registry, Release
from registry_operator.observed import Rollout
from registry_operator.settings import Settings

from registry_runtime.contract.config import RuntimeConfig, S3Storage
from tests.unit.operator.harbour import S3, SETTINGS, encrypted, observed, registry

FOLDER = Path(__file__).parent / "releases"
IMAGE = "roadstead.test/runtime:published"
ROLE = "arn:aws:iam::123456789012:role/harbour"
NEWER = Settings(image="roadstead.test/runtime:2", pull_policy="Always")


def registries(**meta: Any) -> dict[str, Registry]:
    """One of each kind of pod."""
    identity = {"workloadIdentity": {"roleARN": ROLE}}
    sse = {"serverSideEncryption": {"type": "SSE-C", "keySecretRef": {"name": "sse", "key": "key"}}}
    bundle = {"caBundleRef": {"kind": "Secret", "name": "s3-ca", "key": "ca.crt"}}
    bare = {"bucket": "harbour"}
    return {
        "s3": registry(**meta),
        "zone": registry(replicas=1, zones={"minimum": 1}, **meta),
        "many": registry(replicas=12, exposure={"hosts": ["other.test"]}, **meta),
        "ephemeral": registry(storage={"ephemeral": {}}, replicas=1, **meta),
        "encrypted": encrypted(**meta),
        "role": registry(storage={"s3": bare | identity}, **meta),
        "customer-key": registry(storage={"s3": S3 | sse | bundle}, **meta),
        "resources": registry(
            resources={"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}},
            imagePullSecrets=[{"name": "pull"}],
            collection={"every": "1h", "grace": "2h"},
            **meta,
        ),
    }


def pods(of: Registry, settings: Settings) -> dict[str, Any]:
    """The Deployment's spec and the configuration: all that rolls pods."""
    rendered = render(observed(of), settings)
    deployment = rendered.child("Deployment", of.key)
    config = rendered.child("ConfigMap", names.config(of))
    assert deployment
    assert config
    return {"deployment": deployment["spec"], "config": json.loads(config["data"]["config.json"])}


def of_release(revision: int) -> dict[str, Any]:
    status = {"release": str(Release(IMAGE, revision))}
    return {name: pods(one, NEWER) for name, one in registries(status=status).items()}


@pytest.mark.parametrize("revision", TEMPLATES)
def test_a_release_renders_the_same_bytes_for_ever(revision: int) -> None:
    """Whatever this operator would bring: a pod changes by an upgrade only, never by a newer operator."""
    golden = json.loads((FOLDER / f"r{revision}.json").read_text())
    assert of_release(revision) == golden


def test_no_release_is_forgotten() -> None:
    """Each revision that was written down can still be rendered, and the newest is."""
    assert {file.name for file in FOLDER.iterdir()} == {f"r{revision}.json" for revision in TEMPLATES}


def test_an_edit_of_an_older_release_changes_only_what_it_asks_for() -> None:
    """Another number of replicas leaves the pod template as it is, image and all."""
    status = {"release": str(Release(IMAGE, 1))}
    before, after = (pods(registry(status=status, replicas=number), NEWER) for number in (2, 3))
    assert before["deployment"]["replicas"] == 2
    assert before["deployment"] == {**after["deployment"], "replicas": 2}
    assert before["config"] == after["config"]
    assert IMAGE in json.dumps(after)


def test_a_release_outlives_its_status_and_its_deployment() -> None:
    """Where one of the two is lost the other one has it; a new Registry has the newest."""
    old = Release(IMAGE, 1)
    deployment = Rollout("", 1, 1, 3, 3, 3, release=old)
    with_status = registry(status={"release": str(old)})
    assert running(observed(with_status), NEWER) == old
    assert running(observed(rollout=deployment), NEWER) == old
    assert running(observed(with_status, rollout=replace(deployment, release=newest(NEWER))), NEWER) == old
    assert running(observed(), NEWER) == newest(NEWER) == Release("roadstead.test/runtime:2", 1, "Always")


def test_a_deployment_says_its_release() -> None:
    """By its annotation; one from before there was any has its image and the first template."""
    made = render(observed(), NEWER).child("Deployment", Key("harbour", "harbour"))
    assert made
    assert seen.release(made) == newest(NEWER)
    del made["metadata"]["annotations"][names.RUNS]
    assert seen.release(made) == newest(NEWER)


def test_a_release_of_a_newer_operator_is_left_alone() -> None:
    """There is no Deployment among the children: what runs is not touched."""
    rendered = render(observed(registry(status={"release": f"{IMAGE}+r99"})), SETTINGS)
    assert rendered.child("Deployment", Key("harbour", "harbour")) is None
    assert rendered.child("Service", Key("harbour", "harbour"))


@pytest.mark.parametrize(
    ("annotation", "release"),
    [
        ("now", newest(SETTINGS)),
        (str(newest(SETTINGS)), newest(SETTINGS)),
        (f"{IMAGE}+r1", Release(IMAGE, 1)),
        ("roadstead.test/before:1+r1", Release("roadstead.test/before:1", 1)),
        ("evil.test/image:1+r1", None),
        ("", None),
        ("true", None),
    ],
)
def test_who_edits_a_registry_chooses_no_image(annotation: str, release: Release | None) -> None:
    """The newest, the one that runs and the one before may be asked for."""
    status = {"release": f"{IMAGE}+r1", "previousRelease": "roadstead.test/before:1+r1"}
    one = registry(meta={"annotations": {names.UPGRADE_TO: annotation}}, status=status)
    assert asked(one, SETTINGS) == release


@pytest.mark.parametrize("text", ["", "image", "image+r0", "im age+r1", "image+r1-Sometimes", "a+b+r1", None])
def test_what_is_no_release_is_none(text: str | None) -> None:
    """A status or an annotation that somebody edited stops nothing."""
    assert Release.parse(text) is None


def test_a_field_that_nobody_set_is_not_in_the_document() -> None:
    """So a new one changes no document of before; one that was set stays, be it the default of today."""
    config = RuntimeConfig.model_validate(
        {"registry": "a/b", "owner": "u", "hosts": ["h"], "policy": {"directory": "/p", "secrets": ["s"]},
         "storage": {"kind": "s3", "bucket": "b", "region": "us-east-1", "endpoint": None}}
    )  # fmt: skip
    document = json.loads(config.document())
    assert document["storage"] == {"kind": "s3", "bucket": "b", "region": "us-east-1"}
    assert document.keys() == {"registry", "owner", "hosts", "policy", "storage"}
    assert RuntimeConfig.model_validate_json(config.document()) == config
    assert isinstance(config.storage, S3Storage)


if __name__ == "__main__":
    written = json.dumps(of_release(TEMPLATES[-1]), indent=1, sort_keys=True)
    (FOLDER / f"r{TEMPLATES[-1]}.json").write_text(written + "\n")
