"""Who the operator is, in a pod and on a workstation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from registry_operator.cluster.credentials import REREAD, Credentials, MountedToken
from registry_operator.cluster.kubeconfig import namespace_of
from registry_operator.errors import Unavailable

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def account(folder: Path) -> Path:
    (folder / "token").write_text("first\n")
    return folder


def kubeconfig(folder: Path, **cluster: str) -> Path:
    file = folder / "kubeconfig"
    document = {
        "clusters": [{"name": "one", "cluster": {"server": "https://api.test:6443/"} | cluster}],
        "users": [{"name": "me", "user": {"token": "mine"}}],
        "contexts": [{"name": "work", "context": {"cluster": "one", "user": "me", "namespace": "shop"}}],
        "current-context": "work",
    }
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_is_its_service_account(tmp_path: Path, host: str, server: str) -> None:
    """By what the kubelet mounts and sets, IPv6 included."""
    found = Credentials.find(POD | {"KUBERNETES_SERVICE_HOST": host}, account=account(tmp_path))
    assert found.server == server
    assert found.authorization() == "Bearer first"
    assert found.ca_file == str(tmp_path / "ca.crt")


def test_a_token_is_read_again(tmp_path: Path) -> None:
    """The kubelet writes another one in time; while the file is away the one of before is used."""
    now = [0.0]
    token = MountedToken(account(tmp_path) / "token", lambda: now[0])
    assert token() == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert token() == "Bearer first"
    now[0] = REREAD
    assert token() == "Bearer second"
    (tmp_path / "token").unlink()
    now[0] = 2 * REREAD
    assert token() == "Bearer second"
    with pytest.raises(Unavailable):
        MountedToken(tmp_path / "token")()


def test_a_kubeconfig_that_is_given_comes_first(tmp_path: Path) -> None:
    """Also in a pod: a pipeline plans for another cluster."""
    found = Credentials.find(POD, kubeconfig(tmp_path), account=account(tmp_path))
    assert found.server == "https://api.test:6443"
    assert found.authorization() == "Bearer mine"
    assert namespace_of(tmp_path / "kubeconfig") == "shop"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(Unavailable, match="set KUBECONFIG or run in a pod"):
        Credentials.find({}, tmp_path / "absent")
    with pytest.raises(Unavailable, match="tls-server-name"):
        Credentials.find({}, kubeconfig(tmp_path, **{"tls-server-name": "other"}))


def test_an_operator_loads_no_models() -> None:
    """41 MiB of classes for every kind of Kubernetes, which kopf would load; a kubeconfig still does."""
    program = (
        "import sys, registry_operator.__main__\n"
        "assert not [name for name in sys.modules if name.startswith('kubernetes')]\n"
        "import registry_operator.cluster.kubeconfig\n"
        "assert 'kubernetes.client.models' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
