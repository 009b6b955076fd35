"""docs/first-registry.md, followed to the letter by the real kubectl; then docs/day-two.md on it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from tests.documents import DOCS
from tests.operator.apiserver import Object
from tests.operator.operator_process import Cluster, Operator, kubeconfig_of, wait

pytestmark = pytest.mark.cluster
FENCE = re.compile(r"^```(yaml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_first_registry(operator: Operator, cluster: Cluster, tmp_path: Path) -> None:
    """Each file is written and each command run in turn; what pods would be waited for is only looked at."""
    kubectl = Shell(operator, tmp_path)
    for language, body in fences("first-registry.md"):
        if language == "yaml":
            name = body.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(body)
        else:
            for command in commands(body):
                kubectl.run(command)
    assert cluster.get("Secret", "shop", "deployer-pull"), "the last step's pull secret"
    assert (tmp_path / "ca.crt").read_text().startswith("-----BEGIN CERTIFICATE-----")
    wait(lambda: cluster.policy("harbour").tokens)


def test_day_two(operator: Operator, cluster: Cluster, tmp_path: Path) -> None:
    """What the page changes by kubectl is accepted and taken up; our own verbs are tested elsewhere."""
    kubectl = Shell(operator, tmp_path)

    def stored(kind: str, name: str) -> Object:
        return wait(lambda: cluster.get(kind, "harbour", name))  # type: ignore[no-any-return]

    before = stored("Secret", "deployer")
    ran = [
        command
        for _, body in fences("day-two.md")
        for command in commands(body)
        if re.match(r"kubectl (annotate|create|delete|patch|rollout|scale) ", command)
    ]
    assert len(ran) > 6
    for command in ran:
        kubectl.run(command)
    registry, token = stored("Registry", "harbour"), stored("AccessToken", "deployer")
    assert (registry["spec"]["replicas"], token["spec"]["suspended"]) == (6, True)
    assert registry["spec"]["tls"]["selfSigned"]["caGeneration"] == 2
    wait(lambda: stored("Secret", "deployer")["data"]["password"] != before["data"]["password"])
    wait(lambda: stored("Deployment", "harbour")["spec"]["replicas"] == 6)


def fences(page: str) -> list[tuple[str, str]]:
    return FENCE.findall((DOCS / page).read_text())


def commands(body: str) -> list[str]:
    """Of a block; a line that ends in a backslash or a pipe goes on."""
    joined = re.sub(r"(\\|\|)\n", lambda found: found[1].strip("\\"), body)
    return [line.removeprefix("$ ") for line in joined.splitlines()]


class Shell:
    """Runs a command of the page as a shell would, by a kubeconfig with every right."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self._folder = folder
        self._path = Parts(cache_root()).binary("kubectl").parent
        self._kubeconfig = folder / "kubeconfig"
        config = kubeconfig_of(operator.server.url, operator.certificate, operator.server.token)
        self._kubeconfig.write_text(json.dumps(config))

    def run(self, command: str) -> None:
        """Until it prints something. Without pods nothing becomes Ready, so that is not waited for."""
        assert command.startswith("kubectl "), command
        command = re.sub(
            r"^kubectl wait --for=condition=Ready (\S+)(.*) --timeout=\S+", r"kubectl get \1\2", command
        )
        shown = wait(lambda: self._shown(command), sentence=command)
        assert "Error" not in shown

    def _shown(self, command: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=self._folder,
            env={
                "PATH": f"{self._path}:/usr/bin:/bin",
                "KUBECONFIG": str(self._kubeconfig),
                "HOME": str(self._folder),
            },
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        output = self._folder / command.rpartition("> ")[2] if "> " in command else None
        return output.read_text() if output and output.exists() else ran.stdout if ran.returncode == 0 else ""
