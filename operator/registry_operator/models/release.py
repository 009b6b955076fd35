"""A release: what the pods of a Registry run. It is written down, and changes by an upgrade only."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

PULL_POLICY = "IfNotPresent"
TEXT = re.compile(r"(?P<image>[^\s+]{1,1024})\+r(?P<template>[1-9][0-9]{0,4})(-(?P<pull>Always|Never))?")


class Release(NamedTuple):
    """The runtime's image, and the revision of the pod template around it.

    As a text `<image>+r<revision>`: an image's name has no plus sign. A pull policy other than IfNotPresent
    follows it, for another one would roll the pods, too.
    """

    image: str
    template: int
    pull_policy: str = PULL_POLICY

    def __str__(self) -> str:
        pull = "" if self.pull_policy == PULL_POLICY else f"-{self.pull_policy}"
        return f"{self.image}+r{self.template}{pull}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """None for what is no release."""
        found = TEXT.fullmatch(text or "")
        return cls(found["image"], int(found["template"]), found["pull"] or PULL_POLICY) if found else None
