"""`kubectl roadstead` on the platform: a login that clients use, and everything read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quickstart.story import HOSTNAME, NAMESPACE, REGISTRY, TENANT, TOKEN
from tests.e2e.client import digest_of
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster


def command(platform: Platform, *words: str | Path) -> tuple[int, str, str]:
    """The exit code, what was printed, and what was said of errors."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "registry_operator.command", *words),
            *("--kubeconfig", str(platform.kubectl.kubeconfig)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "rst_" not in ran.stdout + ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


async def test_every_digest_is_read_back_and_a_login_works(platform: Platform, tmp_path: Path) -> None:
    """After a push all is as the digests say; an earlier run is gone on from; skopeo pulls by the login."""
    client = platform.client()
    layer = b"read me back" * 100_000
    digest = await client.push_image(f"{NAMESPACE}/verified", "v1", layer)
    address, state = platform.cluster_address(HOSTNAME), tmp_path / "read.txt"
    words = ("verify", f"{TENANT}/{REGISTRY}", "--token", f"{TENANT}/{TOKEN}", "--address", address)
    code, text, errors = command(platform, *words, "--resume", state, "-o", "json")
    assert (code, errors) == (0, ""), text
    found = json.loads(text)
    assert found["faults"] == []
    assert found["read"]["bytes"] > len(layer)
    assert digest_of(layer) in state.read_text().split()
    code, text, errors = command(platform, *words, "--resume", state, "-o", "json")
    assert (code, json.loads(text)["read"]["blobs"]) == (0, 0), errors

    auth = tmp_path / "auth.json"
    code, text, errors = command(platform, "login", f"{TENANT}/{TOKEN}", "--auth-file", auth)
    assert (code, errors) == (0, ""), text
    assert digest_of(manifest(platform, f"{NAMESPACE}/verified@{digest}", auth, tmp_path)) == digest


def manifest(platform: Platform, image: str, auth: Path, folder: Path) -> bytes:
    """As skopeo reads it, with the credentials of this file.

    It has an /etc/hosts of its own: the machine's knows one address of the name, maybe of another cluster.
    """
    trust, hosts = folder / "certs", folder / "hosts"
    trust.mkdir()
    (trust / "ca.crt").write_text(platform.ca)
    hosts.write_text(f"{platform.cluster_address(HOSTNAME)} {HOSTNAME}\n")
    apart = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))
    options = ("--authfile", str(auth), "--cert-dir", str(trust), "--raw")
    asked = ["skopeo", "inspect", *options, f"docker://{HOSTNAME}/{image}"]
    return subprocess.run([*apart, *asked], capture_output=True, timeout=60, check=True).stdout
