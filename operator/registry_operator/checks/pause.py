"""What a paused Registry waits with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_operator import names
from registry_operator.checks.finding import Finding, no, yes
from registry_operator.checks.sentences import listed

if TYPE_CHECKING:
    from registry_operator.observed import RegistryObserved


def check(observed: RegistryObserved) -> Finding | None:
    """None where it is not paused."""
    if observed.held is None:
        return None
    waits = f"{listed(observed.held)} would be written" if observed.held else "nothing would be written"
    return yes("Paused", "Paused", f"by the annotation {names.PAUSED}; without it, {waits}")


def holds_back(observed: RegistryObserved) -> Finding | None:
    """Why the Registry is not Ready: what is declared is not what is there, and is not written."""
    if not observed.held:
        return None
    return no("Ready", "Paused", f"waits until it is not paused any more: {listed(observed.held)}")
