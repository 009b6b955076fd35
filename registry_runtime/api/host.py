"""The host that was asked, and the challenge that sends a client to its token endpoint.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from registry_runtime.api.trace import ENDPOINT, SECURE
from registry_runtime.auth.identity import Endpoint

TOKEN_PATH = "/token"  # noqa: S105 - a path
_PORT = re.compile(r":[0-9]{1,5}")


@dataclass(frozen=True)
class Hosts:
    """Allowed host names of each listener, the canonical one first; `service` names the registry."""

    allowed: Mapping[Endpoint, tuple[str, ...]]
    service: str

    def challenge(self, scope: Scope, wanted: str | None) -> str:
        """The WWW-Authenticate header. Its realm is on the host that was asked, where that is ours."""
        scheme = "https" if scope["state"].get(SECURE, False) else "http"
        parts = [f'realm="{scheme}://{self._host(scope)}{TOKEN_PATH}"', f'service="{self.service}"']
        if wanted is not None:
            parts.append(f'scope="{wanted}"')
        return f"Bearer {','.join(parts)}"

    def _host(self, scope: Scope) -> str:
        allowed = self.allowed[scope["state"].get(ENDPOINT, Endpoint.PUBLIC)]
        asked = Headers(scope=scope).get("host", "").lower()
        for host in allowed:
            if asked.startswith(host) and (asked == host or _PORT.fullmatch(asked, len(host))):
                return asked
        return allowed[0]
