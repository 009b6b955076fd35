"""manifests/ as objects: the one source of every way to install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
ROOT = Path(__file__).parent.parent / "manifests"
# Parts that a cluster chooses; each is a folder of manifests/ and a switch of the chart's values.
CHOICES = {"pull-secret-by-label": "pullSecretByLabel"}


def files(folder: Path) -> list[Path]:
    """What the kustomization of a folder names, folders' own kustomizations included."""
    found: list[Path] = []
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        path = (folder / name).resolve()
        found += files(path) if path.is_dir() else [path]
    return found


def objects(file: Path) -> list[Object]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]
