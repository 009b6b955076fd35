"""An error of a reconcile → conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from registry_operator import names
from registry_operator.checks.finding import Finding, conditions, kept, no, progress, unknown
from registry_operator.errors import NamespaceTerminating, NotFound, NotPermitted, Unavailable, WriteConflict
from registry_operator.models import OwnStatus, RegistryStatus

if TYPE_CHECKING:
    from datetime import datetime

    from registry_operator.errors import OperatorError
    from registry_operator.settings import Settings

S = TypeVar("S", bound=OwnStatus)
READY = "Ready"
PASSING = (Unavailable, WriteConflict, NamespaceTerminating, NotFound)


def judge(status: S, generation: int, error: OperatorError, now: datetime, settings: Settings) -> S:
    """The status of a reconcile that failed.

    Ready speaks of no other generation; Stalled where only the user can mend it, Reconciling where a
    retry may. What else was known stays, with the generation that it was known of.
    """
    ready = _ready(status, generation, error, settings)
    trouble = ready if ready.status == "False" else no(READY, _reason(error), error.message)
    said = conditions((ready, *progress(trouble)), status, generation, now)
    types = {one.type for one in said}
    rest = tuple(one for one in status.conditions if one.type not in types)
    return status.model_copy(update={"observed_generation": generation, "conditions": (*said, *rest)})


def _ready(status: OwnStatus, generation: int, error: OperatorError, settings: Settings) -> Finding:
    """What may pass by itself does not take back what is true of this generation."""
    if isinstance(error, PASSING):
        before = kept(READY, status, generation)
        return before or unknown(READY, _reason(error), error.message)
    message = error.message
    if isinstance(error, NotPermitted) and error.namespace:
        role = names.REGISTRY_ROLE if isinstance(status, RegistryStatus) else names.SECRETS_ROLE
        role = names.CONSENT.get(error.place.partition(" ")[0], role)
        message = f"{message}; run:\n{settings.grant(error.namespace, role)}"
    return no(READY, _reason(error), message, mend=True)


def _reason(error: OperatorError) -> str:
    """The error's own name: docs/conditions.md lists them."""
    return "SecretsNotPermitted" if _is_about_secrets(error) else type(error).__name__


def _is_about_secrets(error: OperatorError) -> bool:
    return isinstance(error, NotPermitted) and bool(error.namespace) and error.place.startswith("Secret ")
