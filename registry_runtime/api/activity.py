"""What a request means for the activity, and the activity for the operator (`contract.activity`)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from registry_runtime.activity import ActivityBoard, Refused
from registry_runtime.api.trace import Trace
from registry_runtime.auth.decision import Reason

_REFUSED = frozenset({401, 403})


def note(board: ActivityBoard, scope: Scope, trace: Trace, status: int) -> None:
    """Of a request that was answered."""
    if status in _REFUSED:
        if trace.reason is not None and not _is_challenge(scope, trace):
            board.refuse(_refused(trace, trace.reason))
    elif trace.who is not None:
        board.use(trace.who)


def _is_challenge(scope: Scope, trace: Trace) -> bool:
    """Whether the client is only told how to log in: most clients ask first without credentials."""
    if trace.reason != Reason.CREDENTIALS_MISSING or trace.noun == "token":
        return False
    return all(name != b"authorization" for name, _ in scope["headers"])


def _refused(trace: Trace, reason: str) -> Refused:
    provider, colon, _ = (trace.who or "").partition(":")
    repository = trace.repository or ""
    return Refused(
        token=None if colon else trace.who,
        provider=provider if colon else "",
        namespace=repository.partition("/")[0],
        repository=repository,
        action=trace.action,
        reason=str(reason),
        endpoint=trace.endpoint.value,
    )


class Activities:
    def __init__(self, board: ActivityBoard) -> None:
        self._board = board

    async def get(self, request: Request) -> Response:
        activity = self._board.changes(request.query_params.get("after"))
        return Response(activity.model_dump_json(exclude_defaults=True), media_type="application/json")
