"""The children of a Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator.desired.rendered import Rendered

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved
    from registry_operator.settings import Settings


def render(observed: RegistryObserved, settings: Settings) -> Rendered:
    """All children of one Registry.

    What was observed and is still good (certificates, keys) is kept, so rendering again gives the same
    bytes. Raises RenderFailed.
    """
    raise NotImplementedError
