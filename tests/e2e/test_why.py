"""From a pod whose image is not pulled to the answer, by one command."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from quickstart.story import DEPLOYMENT, NAMESPACE, TENANT
from tests.e2e.platform import Platform
from tests.e2e.pods import deployment, only_pod, until_refused

pytestmark = pytest.mark.cluster


def why(platform: Platform, *words: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    command = [sys.executable, "-m", "registry_operator.command", "why", *words]
    ran = subprocess.run(
        [*command, "--kubeconfig", str(platform.kubectl.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def denials(platform: Platform, name: str) -> list[str]:
    """What Events say of an AccessToken's refused pulls."""
    events = platform.kubectl.list("events.events.k8s.io", "-n", TENANT)
    return [
        one["note"] for one in events if one["reason"] == "PullDenied" and one["regarding"]["name"] == name
    ]


def test_an_image_pull_back_off_becomes_one_command_to_the_answer(platform: Platform) -> None:
    """The token may pull something else: command and Event say so, and the printed permission mends it."""
    elsewhere = [{"repositories": [f"{NAMESPACE}/elsewhere"], "actions": ["pull"]}]
    target = {"namespaces": ["sloop"]}
    with platform.account("sloop"):
        try:
            platform.kubectl.apply(platform.token("sloop", permissions=elsewhere, pullSecrets=target))
            platform.kubectl.until_ready("at", "sloop", TENANT)
            platform.kubectl.apply(deployment("sloop", imagePullSecrets=[{"name": "sloop-pull"}]))
            waiting = until_refused(platform, "sloop")

            code, text = why(platform, f"pod/{waiting['metadata']['name']}", "-n", "sloop")
            assert code == 1, text
            assert "✓ Secret sloop/sloop-pull has an entry for" in text
            assert f"✓ its password is that of AccessToken {TENANT}/sloop" in text
            last, _, printed = text.partition("NotGranted: nothing grants this\n")
            assert "✗ it may not pull" in last.splitlines()[-1]
            where, _, missing = printed.partition("\n")
            assert where.strip() == "spec.permissions of the AccessToken sloop"
            platform.kubectl.until(
                "the refusal is an Event of the AccessToken",
                lambda: bool(denials(platform, "sloop")),
                seconds=60,
            )

            permissions = [*elsewhere, *yaml.safe_load(missing)]
            platform.kubectl.apply(platform.token("sloop", permissions=permissions, pullSecrets=target))
            platform.kubectl.until_rolled_out([DEPLOYMENT], "sloop")
            code, text = why(
                platform, f"pod/{only_pod(platform, 'sloop')['metadata']['name']}", "-n", "sloop"
            )
            assert code == 0, text
        finally:
            platform.kubectl("delete", "at", "sloop", "-n", TENANT, "--ignore-not-found")
