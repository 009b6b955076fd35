"""The pure parts of a plan: files, merges, what we own of an object, diffs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from registry_operator.cluster.resources import DEPLOYMENTS, REGISTRIES, SECRETS
from registry_operator.errors import InvalidResource
from registry_operator.models import Key
from registry_operator.plan.changes import Roll, change, roll
from registry_operator.plan.edits import last_applied, manager_of, three_way
from registry_operator.plan.manifests import read
from registry_operator.plan.owned import applied
from registry_operator.plan.rehearsal import Write, merge

Object = dict[str, Any]
KEY = Key("port", "harbour")


def test_files_folders_and_lists_are_read(tmp_path: Path) -> None:
    """As kubectl reads them; what names no namespace is in the caller's."""
    (tmp_path / "deeper").mkdir()
    (tmp_path / "kustomization.yaml").write_text("resources: []")
    (tmp_path / "notes.txt").write_text("kind: [")
    registry = "apiVersion: roadstead.dev/v1alpha1\nkind: Registry\nmetadata: {name: harbour}\n"
    (tmp_path / "deeper" / "registry.yaml").write_text(f"---\n{registry}---\n")
    listed = (
        '{"kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]}'
    )
    found = read([str(tmp_path), "-"], io.StringIO(listed), "port")
    assert [(one.resource, one.key) for one in found.declared] == [(REGISTRIES, KEY)]
    assert (found.others, set(found.namespaces)) == (1, {"port"})


@pytest.mark.parametrize(
    "text", ["a: [", "- a", "apiVersion: roadstead.dev/v1alpha1\nkind: Registry\n", "!!python/object:x {}"]
)
def test_what_is_no_manifest_is_refused_with_its_place(text: str) -> None:
    """A sentence with the file, never a trace."""
    with pytest.raises(InvalidResource, match="standard input"):
        read(["-"], io.StringIO(text), "port")


def test_kubectls_three_way_merge_takes_away_what_is_declared_no_longer() -> None:
    """What the record has and the file has not goes; what others wrote stays."""
    record = {"spec": {"replicas": 3, "privateOnly": True}}
    there = {"spec": {"replicas": 5, "privateOnly": True, "defaulted": 1}}
    patch = three_way(record, {"spec": {"replicas": 4}}, there)
    assert merge(there, patch) == {"spec": {"replicas": 4, "defaulted": 1}}


def test_who_applied_last_is_who_would_apply_now() -> None:
    """The only field manager that applies, apart from the status; kubectl where there are several."""
    entry = {"manager": "flux", "operation": "Apply"}
    status = {"manager": "roadstead-status", "operation": "Apply", "subresource": "status"}
    assert manager_of({"metadata": {"managedFields": [entry, status]}}) == "flux"
    assert manager_of({"metadata": {"managedFields": [entry, {**entry, "manager": "argo"}]}}) == "kubectl"
    assert manager_of(None) == "kubectl"
    assert last_applied({"metadata": {"annotations": {}}}) is None


@pytest.mark.parametrize(
    ("have", "patch", "merged"),
    [
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": None, "d": 3}}, {"a": 1, "b": {"d": 3}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        (None, {"a": {"b": None}}, {"a": {}}),
    ],
)
def test_a_merge_patch_is_that_of_the_rfc(have: Any, patch: Any, merged: Any) -> None:
    """RFC 7396 §3."""
    assert merge(have, patch) == merged


def deployment(image: str = "r:1", replicas: int = 3, **container: Any) -> Object:
    """As it is applied."""
    pod = {"containers": [{"name": "registry", "image": image, **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "harbour", "namespace": "port"},
        "spec": {"replicas": replicas, "template": {"spec": pod}},
    }


def stored(obj: Object, container: Object) -> Object:
    """As the API server has it: with defaults, and with what somebody else added."""
    fields = {
        "f:spec": {
            "f:replicas": {},
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"registry"}': {".": {}, **container}}}},
        }
    }
    pod = obj["spec"]["template"]["spec"]
    others = [{"name": "injected", "image": "mesh:1"}, {**pod["containers"][0], "imagePullPolicy": "Always"}]
    metadata = {
        **obj["metadata"],
        "uid": "u",
        "managedFields": [
            {"manager": "roadstead", "operation": "Apply", "fieldsV1": fields},
            {"manager": "mesh", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
        ],
    }
    spec = {**obj["spec"], "paused": True, "template": {"spec": {"containers": others}}}
    return {**obj, "metadata": metadata, "spec": spec, "status": {"replicas": 3}}


IMAGE: Object = {"f:name": {}, "f:image": {}}


def test_only_what_we_applied_is_compared() -> None:
    """Defaults, and what a mesh injects, are no change of ours; a field that we drop is one."""
    there = stored(deployment(), IMAGE)
    assert applied(there, deployment()) == deployment()
    same = Write(DEPLOYMENTS, KEY, there, deployment())
    assert change(same).diff == ()
    assert roll(same, ()) is None
    dropped = stored(deployment(tty=True), {**IMAGE, "f:tty": {}})
    assert [
        line for line in change(Write(DEPLOYMENTS, KEY, dropped, deployment())).diff if "tty" in line
    ] == ["-        tty: true"]


def test_a_change_of_the_template_rolls_and_of_replicas_scales() -> None:
    """What each write of a Deployment does to its pods."""
    there = stored(deployment(), IMAGE)
    assert roll(Write(DEPLOYMENTS, KEY, there, deployment("r:2")), ()) == Roll(
        KEY, "roll: the pod template changes"
    )
    scaled = roll(Write(DEPLOYMENTS, KEY, there, deployment(replicas=5)), ())
    assert scaled == Roll(KEY, "scale: 3 → 5 replicas")
    assert roll(Write(DEPLOYMENTS, KEY, None, deployment()), ()) == Roll(KEY, "start: 3 replicas")
    gone = roll(Write(DEPLOYMENTS, KEY, there, None), ())
    assert gone is not None
    assert gone.why.startswith("stop")


def test_of_a_secret_nothing_but_names_of_keys_is_shown() -> None:
    """Whatever its values are."""
    before = {"metadata": {}, "data": {"same": "c2FtZQ==", "old": "b2xk", "both": "YQ=="}}
    after = {"metadata": {}, "data": {"same": "c2FtZQ==", "new": "bmV3", "both": "Yg=="}}
    assert change(Write(SECRETS, KEY, before, after)).diff == (
        "~data.both: (not shown)",
        "+data.new: (not shown)",
        "-data.old: (not shown)",
    )
