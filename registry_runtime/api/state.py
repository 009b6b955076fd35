"""The replica's state, long-polled by the operator (`registry_runtime.contract.state`)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.state import StateBoard

_LONGEST_WAIT = 60.0  # seconds


class States:
    def __init__(self, board: StateBoard) -> None:
        self._board = board

    async def get(self, request: Request) -> Response:
        after = request.query_params.get("after")
        try:
            wait = min(max(float(request.query_params.get("wait", "0")), 0.0), _LONGEST_WAIT)
        except ValueError:
            return JSONResponse({"error": "wait is a number of seconds"}, 400)
        if not wait <= _LONGEST_WAIT:  # not a number
            wait = 0.0
        state = await self._board.newer(after, wait)
        return Response(state.model_dump_json(), media_type="application/json")
