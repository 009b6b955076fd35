"""Installing the operator as a platform team does: manifests/ through kustomize, with its own images."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from quickstart.kubectl import Kubectl

MANIFESTS = Path("manifests")
NAMESPACE, OPERATOR = "roadstead-system", "roadstead-operator"


def overlay(manifests: str, operator: str, runtime: str) -> str:
    """A kustomization (JSON is YAML) over `manifests` that names the two images."""
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "operator",
                            "image": operator,
                            "env": [{"name": "RUNTIME_IMAGE", "value": runtime}],
                        }
                    ]
                }
            }
        },
    }
    return json.dumps(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [manifests],
            "patches": [{"patch": json.dumps(patch)}],
        }
    )


def operator(kubectl: Kubectl, operator_image: str, runtime_image: str) -> None:
    """Apply, and wait until the CRDs are served and the operator is ready."""
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.relpath(MANIFESTS.resolve(), Path(folder).resolve())
        (Path(folder) / "kustomization.yaml").write_text(overlay(base, operator_image, runtime_image))
        kubectl.apply_file(Path(folder))
    kubectl(
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "crd",
        "-l",
        "app.kubernetes.io/part-of=roadstead",
    )
    kubectl.until_rolled_out([OPERATOR], NAMESPACE)
