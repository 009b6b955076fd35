"""The Secrets of an AccessToken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_operator.desired.rendered import Child
    from registry_operator.models import Key
    from registry_operator.observed import TokenObserved
    from registry_operator.settings import Settings


def render(observed: TokenObserved, settings: Settings) -> tuple[Child, ...]:
    """The password Secret and the pull Secrets that can be applied now.

    The password is made once and then kept.
    Empty where its namespace has not opted in or the Secret's name is somebody else's.
    """
    raise NotImplementedError


def unwanted(observed: TokenObserved) -> tuple[Key, ...]:
    """Pull Secrets of this token that are there and are wanted no longer: to be deleted."""
    raise NotImplementedError
