"""Clients that copy whole images, and all that an index names, between a layout and the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.clients.layout import Layout
from tests.clients.workstation import Program, Workstation

_SKOPEO = ("--insecure-policy", "copy", "--all", "--preserve-digests")
_FROM_LAYOUT = {
    "crane": ("push", "{layout}", "{image}"),
    "oras": ("cp", "--from-oci-layout", "{layout}:v1", "{image}"),
    "regctl": ("image", "copy", "ocidir://{layout}:v1", "{image}"),
    "skopeo": (*_SKOPEO, "oci:{layout}:v1", "docker://{image}"),
}
_TO_LAYOUT = {
    "crane": ("pull", "--format=oci", "{image}", "{layout}"),
    "oras": ("cp", "--to-oci-layout", "{image}", "{layout}:v1"),
    "regctl": ("image", "copy", "{image}", "ocidir://{layout}:v1"),
    "skopeo": (*_SKOPEO, "docker://{image}", "oci:{layout}:v1"),
}
_INSIDE = {
    "crane": ("copy", "{image}", "{target}"),
    "oras": ("cp", "{image}", "{target}"),
    "regctl": ("image", "copy", "{image}", "{target}"),
    "skopeo": (*_SKOPEO, "docker://{image}", "docker://{target}"),
}
COPIERS = tuple(_FROM_LAYOUT)


@dataclass(frozen=True)
class Copier:
    """The words of these clients differ, and what they do is the same."""

    name: str
    program: Program

    @classmethod
    def of(cls, name: str, workstation: Workstation) -> Self:
        return cls(name, workstation.program(name))

    def push(self, layout: Layout, image: str) -> None:
        """What is tagged v1 in the layout."""
        self.program(*(word.format(layout=layout.path, image=image) for word in _FROM_LAYOUT[self.name]))

    def copy(self, image: str, target: str) -> None:
        """From one repository to another."""
        self.program(*(word.format(image=image, target=target) for word in _INSIDE[self.name]))

    def pull(self, image: str, path: Path) -> Path:
        """The directory of a new layout."""
        self.program(*(word.format(layout=path, image=image) for word in _TO_LAYOUT[self.name]))
        return path
