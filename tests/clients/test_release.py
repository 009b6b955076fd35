"""A release: what `make release` writes can be pushed, and installs what was pushed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from release.__main__ import write
from tests.clients.test_skopeo import logged_in
from tests.clients.workstation import Workstation

IMAGES = ("operator", "runtime")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the images that the tests built: `make release` itself builds its own."""
    folder = tmp_path_factory.mktemp("release")
    write(folder, "team.test/roadstead", "0.1.0", cache_root())
    return folder


def test_a_push_keeps_the_digests_that_install_yaml_names(
    released: Path, workstation: Workstation, name: str
) -> None:
    """By the commands that it prints, into a Registry of ours; skopeo reads the same digest back."""
    skopeo = logged_in(workstation)
    installed = (released / "install.yaml").read_text()
    for image in IMAGES:
        skopeo("copy", f"oci:{released / image}:0.1.0", f"docker://{name}/{image}:0.1.0")
        digest = json.loads(skopeo("inspect", f"docker://{name}/{image}:0.1.0"))["Digest"]
        assert installed.count(f"team.test/roadstead/{image}@{digest}") == 1


def test_the_chart_installs_the_same_images_without_a_value(released: Path) -> None:
    """Helm renders the chart that was packaged with the Deployment of install.yaml."""
    (chart,) = released.glob("roadstead-*.tgz")
    helm = Parts(cache_root()).binary("helm")
    rendered = subprocess.run(
        [helm, "template", "roadstead", chart, "--namespace", "roadstead-system"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert containers(rendered) == containers((released / "install.yaml").read_text())


def containers(text: str) -> list[tuple[str, str]]:
    """Image and RUNTIME_IMAGE of each Deployment."""
    found = []
    for one in yaml.safe_load_all(text):
        if one and one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            (runtime,) = (env["value"] for env in container["env"] if env["name"] == "RUNTIME_IMAGE")
            found.append((container["image"], runtime))
    return found
