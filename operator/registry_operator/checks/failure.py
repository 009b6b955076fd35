"""An error of a reconcile → conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from registry_operator.models import OwnStatus

if TYPE_CHECKING:
    from datetime import datetime

    from registry_operator.errors import OperatorError
    from registry_operator.settings import Settings

S = TypeVar("S", bound=OwnStatus)


def judge(status: S, generation: int, error: OperatorError, now: datetime, settings: Settings) -> S:
    """The status of a reconcile that failed.

    Ready speaks of no other generation; Stalled where only the user can mend it, Reconciling where a
    retry may.
    """
    raise NotImplementedError
