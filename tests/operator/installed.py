"""What a cluster may have beside Roadstead: cert-manager with its own controllers, CRDs of Gateway API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml

from local_cluster.build import cache_root
from local_cluster.parts import Parts
from tests.operator.apiserver import ApiServer, Refusal
from tests.operator.operator_process import CRDS, Operator, is_served, kubeconfig_of, wait


def crds(server: ApiServer, name: str) -> None:
    """Of the project `name`, as its Go module has them, once; returns when they are served."""
    files = sorted(Parts(cache_root()).carried(name).glob("*.yaml"))
    found = [obj for file in files for obj in yaml.safe_load_all(file.read_text()) if obj]
    wanted = [obj for obj in found if obj["kind"] == "CustomResourceDefinition"]
    for obj in wanted:
        try:
            server.ask("POST", CRDS, obj)
        except Refusal as refusal:
            if refusal.code != 409:  # it is there
                raise
    for one in [obj["metadata"]["name"] for obj in wanted]:
        wait(partial(is_served, server, one), sentence=f"{one} is not served")


@contextmanager
def cert_manager(operator: Operator) -> Iterator[None]:
    """Its controllers of certificates and issuers, with every right; the CRDs must be there."""
    kubeconfig = operator.folder / "cert-manager.kubeconfig"
    server = operator.server
    kubeconfig.write_text(json.dumps(kubeconfig_of(server.url, operator.certificate, server.token)))
    argv = [str(Parts(cache_root()).binary("certmanager")), f"--kubeconfig={kubeconfig}"]
    with Path(operator.folder / "cert-manager.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait(10)
