"""The token endpoint: a password, or a token of somebody who may vouch, becomes a short-lived bearer.

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.api.streams import whole
from registry_runtime.api.trace import Trace, claimed, trace_of
from registry_runtime.auth.credentials import Basic, Bearer, Credentials, parse, password
from registry_runtime.auth.decision import Reason
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.identity import Identity
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.vouching import Vouching
from registry_runtime.contract.policy import Action
from registry_runtime.errors import LoginTooLarge, Unauthorized

_FORM_BYTES = 128 * 1024
_FIELDS = 200


class Tokens:
    def __init__(self, gate: Gate, vouching: Vouching) -> None:
        self._gate = gate
        self._vouching = vouching

    async def get(self, request: Request) -> Response:
        """Docker's flow: Basic, or nothing for what anybody may do."""
        scopes = Scopes.parse(request.query_params.getlist("scope"))
        return await self._issue(request, parse(request.headers.get("authorization")), scopes)

    async def post(self, request: Request) -> Response:
        """OAuth 2.0's password grant, as containerd asks; there are no refresh tokens."""
        try:
            too_large = LoginTooLarge(f"a form of the token endpoint has at most {_FORM_BYTES} bytes")
            content = (await whole(request, _FORM_BYTES, too_large)).decode()
            form = parse_qs(content, max_num_fields=_FIELDS)
        except ValueError:
            form = {}
        if form.get("grant_type") != ["password"]:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        login = password(form.get("username", [""])[0], form.get("password", [""])[0])
        return await self._issue(request, login, Scopes.parse(form.get("scope", [])))

    async def _issue(self, request: Request, credentials: Credentials, scopes: Scopes) -> Response:
        if isinstance(credentials, Bearer):
            raise Unauthorized("a bearer token is given for a password, not for another bearer")
        trace = trace_of(request.scope)
        _ask(trace, scopes)
        source = request.client.host if request.client is not None else ""
        with claimed(trace, credentials):
            identity = await self._identify(credentials, source, scopes)
        trace.who, trace.account = identity.who or None, self._gate.account(identity)
        issued = self._gate.issue(Asker(identity, trace.endpoint), scopes)
        trace.reason = Reason.ANYBODY if identity.anonymous else Reason.GRANTED
        answer = {
            "token": issued.text,
            "access_token": issued.text,
            "expires_in": issued.seconds,
            "issued_at": datetime.fromtimestamp(issued.issued, UTC).isoformat().replace("+00:00", "Z"),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def _identify(self, credentials: Credentials, source: str, scopes: Scopes) -> Identity:
        if isinstance(credentials, Basic) and self._vouching.takes(credentials.password):
            return await self._vouching.identify(credentials.password, source, scopes)
        return self._gate.identify(credentials, source)


def _ask(trace: Trace, scopes: Scopes) -> None:
    """What the bearer is for, where it is for a repository: the push, if it is for several."""
    for action in (Action.PUSH, Action.DELETE, Action.PULL):
        for name, actions in scopes.repositories.items():
            if action in actions:
                trace.repository, trace.action = name, action
                return
