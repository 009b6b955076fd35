"""Scopes of the Docker token flow: `repository:<name>:pull,push registry:catalog:*`.

https://distribution.github.io/distribution/spec/auth/scope/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action
from registry_runtime.errors import LoginTooLarge, NameInvalid

_MEANING = {
    "pull": frozenset({Action.PULL, Action.LIST}),  # who pulls asks for the tags by the same word
    "push": frozenset({Action.PUSH}),
    "delete": frozenset({Action.DELETE}),
    "*": frozenset(Action),
}
_ASKED_FOR = {
    Action.PULL: "pull",
    Action.LIST: "pull",
    Action.PUSH: "pull,push",  # a push looks first what is there
    Action.DELETE: "delete",
}
_MOST = 32  # scopes of one bearer; a push needs one, and one more for each repository it mounts from
CATALOG = "registry:catalog:*"


@dataclass(frozen=True)
class Scopes:
    """What a bearer token may be used for, at most; the policy still decides at each request."""

    repositories: Mapping[str, frozenset[Action]] = field(default_factory=dict)
    catalog: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """From the `scope` parameters, each one or several separated by spaces; nonsense asks for nothing.

        Raises LoginTooLarge: what is asked for stands in the bearer, which comes back with each request.
        """
        asked: dict[str, frozenset[Action]] = {}
        catalog = False
        words_asked = {word for words in texts for word in words.split(" ") if word}
        if len(words_asked) > _MOST:
            raise LoginTooLarge(f"one bearer covers at most {_MOST} scopes: ask for several bearers")
        for text in words_asked:
            kind, _, rest = text.partition(":")
            name, _, words = rest.rpartition(":")
            if kind == "registry" and name == "catalog":
                catalog = catalog or words == "*"
            elif kind == "repository" and _is_name(name):
                actions = frozenset().union(*(_MEANING.get(word, frozenset()) for word in words.split(",")))
                asked[name] = asked.get(name, frozenset()) | actions
        return cls(asked, catalog)

    @classmethod
    def from_claim(cls, access: Any) -> Self:
        """From the `access` claim of our own tokens. Raises ValueError, KeyError or TypeError otherwise."""
        repositories = {
            entry["name"]: frozenset(Action(action) for action in entry["actions"])
            for entry in access
            if entry["type"] == "repository"
        }
        return cls(repositories, any(entry["type"] == "registry" for entry in access))

    def claim(self) -> list[dict[str, Any]]:
        access: list[dict[str, Any]] = [
            {"type": "repository", "name": name, "actions": sorted(actions)}
            for name, actions in self.repositories.items()
        ]
        return (
            [*access, {"type": "registry", "name": "catalog", "actions": ["*"]}] if self.catalog else access
        )

    def covers(self, repository: RepositoryName, action: Action) -> bool:
        return action in self.repositories.get(str(repository), frozenset())


def asking(repository: RepositoryName, action: Action) -> str:
    """The scope that a client must ask for, to be let through."""
    return f"repository:{repository}:{_ASKED_FOR[action]}"


def _is_name(text: str) -> bool:
    try:
        RepositoryName.parse(text)
    except NameInvalid:
        return False
    return True
