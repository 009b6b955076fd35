"""Scopes of the token flow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.auth.scope import Scopes, asking
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action
from registry_runtime.errors import LoginTooLarge

PULL = frozenset({Action.PULL, Action.LIST})


@pytest.mark.parametrize(
    ("texts", "repositories", "catalog"),
    [
        (["repository:a/b:pull"], {"a/b": PULL}, False),
        (["repository:a:pull repository:b:push"], {"a": PULL, "b": {Action.PUSH}}, False),
        (["repository:a:pull", "repository:a:push"], {"a": PULL | {Action.PUSH}}, False),
        (["repository:a:pull,push,delete"], {"a": set(Action)}, False),
        (["repository:a:*"], {"a": set(Action)}, False),
        (["registry:catalog:*"], {}, True),
        (["registry:catalog:pull", "registry:other:*"], {}, False),
        (["repository(plugin):a:pull", "repository:A:pull", "repository:../a:pull"], {}, False),
        (["", "x", "::", "repository::pull", "repository:a"], {}, False),
        (["repository:a:admin"], {"a": set()}, False),
    ],
)
def test_parsing(texts: list[str], repositories: dict[str, set[Action]], catalog: bool) -> None:
    """One parameter with several scopes, or several parameters; nonsense asks for nothing."""
    assert Scopes.parse(texts) == Scopes({k: frozenset(v) for k, v in repositories.items()}, catalog)


def test_scopes_of_one_request_are_bounded() -> None:
    """Thirty-two go into one bearer, said twice or not; more are refused whole, in a sentence."""
    some = [f"repository:r{n}:pull" for n in range(32)]
    assert len(Scopes.parse([*some, " ".join(some)]).repositories) == 32
    with pytest.raises(LoginTooLarge, match="at most 32 scopes"):
        Scopes.parse([" ".join(some), "repository:one-more:pull"])


@given(st.lists(st.text("repository:registrycatalog*,pull/ ", max_size=60), max_size=5))
def test_any_text_is_read_and_survives_the_claim(texts: list[str]) -> None:
    """No text raises, and what was read stays the same through a token."""
    scopes = Scopes.parse(texts)
    assert Scopes.from_claim(scopes.claim()) == scopes


@pytest.mark.parametrize("action", Action)
def test_what_is_asked_for_covers_the_need(action: Action) -> None:
    """A client that asks for the scope of the challenge is let through."""
    name = RepositoryName.parse("team/app")
    assert Scopes.parse([asking(name, action)]).covers(name, action)
