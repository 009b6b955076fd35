"""Names of repositories and tags.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from registry_runtime.errors import NameInvalid, TagInvalid

NAME_LENGTH = 255
TAG_LENGTH = 128
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9._-]{{0,{TAG_LENGTH - 1}}}")


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    """The full name of a repository: components of lower case letters, digits and separators."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NameInvalid."""
        if len(text) > NAME_LENGTH or not _NAME.fullmatch(text):
            raise NameInvalid(
                f"a repository name has at most {NAME_LENGTH} characters: components of a-z and 0-9, "
                "joined inside by one '.', '_', '__' or any number of '-', separated by '/'",
                {"name": text[:NAME_LENGTH]},
            )
        return cls(text)

    @property
    def namespace(self) -> str:
        """The first component: what a Namespace claims."""
        return self.text.partition("/")[0]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class NameRange:
    """Repository names from `first` to `last`, both inclusive, in the order of their components.

    The ends themselves need not be names.
    """

    END: ClassVar = "~"  # comes after every character of a name

    first: str
    last: str

    @classmethod
    def below(cls, beginning: str) -> Self:
        """All names that begin with this text."""
        return cls(beginning, beginning + cls.END)


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A name for a manifest inside of a repository; case counts."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises TagInvalid."""
        if not _TAG.fullmatch(text):
            raise TagInvalid(
                f"a tag has at most {TAG_LENGTH} characters of a-z, A-Z, 0-9, '_', '.' and '-', "
                "and starts with none of '.' and '-'",
                {"tag": text[:TAG_LENGTH]},
            )
        return cls(text)

    def __str__(self) -> str:
        return self.text
