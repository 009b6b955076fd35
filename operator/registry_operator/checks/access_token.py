"""The status of an AccessToken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from registry_operator.models import AccessTokenStatus
    from registry_operator.observed import TokenObserved
    from registry_operator.settings import Settings


def judge(observed: TokenObserved, settings: Settings) -> AccessTokenStatus:
    """The whole status. Judge after the applies: what was just written must be in `observed.secrets`."""
    raise NotImplementedError


def due(observed: TokenObserved) -> datetime | None:
    """When the status changes by time alone: the expiry comes near, or is there. None: never."""
    raise NotImplementedError
