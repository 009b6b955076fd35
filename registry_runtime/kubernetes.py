"""The door to the Kubernetes API: it watches Secrets by their names, and asks about ServiceAccount tokens."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from registry_runtime.auth.id_token import KeySet, Published
from registry_runtime.errors import IssuerUnavailable
from registry_runtime.issuers import document
from registry_runtime.log import fields

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_SILENT_SECONDS = 90.0  # bookmarks come every minute: a stream that says less may be dead
_WATCH_SECONDS = (240, 300)  # the server ends a watch after a while, and not all of them at once
_PAUSE_SECONDS = (0.2, 5.0)  # between attempts, doubled from the first to the second
_REVIEW_SECONDS = 5.0
_RETRY_SECONDS = 2.0
_LONGEST_LINE = 16 * 1024 * 1024  # bytes: a Secret has 1 MiB, and base64 and JSON around it

Secret = dict[str, bytes]


@dataclass(frozen=True)
class ApiServer:
    """Where the API is, and as whom: the token is read again for each request, since it is renewed."""

    url: str  # https://host:port
    token: Path
    ca: Path | None


class _Gone(Exception):
    """The server no longer knows the version that the watch was to go on from."""


class _Refused(Exception):
    """The API answered, and not with what was asked for."""


class SecretWatch:
    """One Secret as it changes. `connected` says whether news would arrive now."""

    def __init__(self, api: ApiServer, namespace: str, name: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._name = name
        self._pause = _PAUSE_SECONDS[0]
        self.connected = False

    async def follow(self, changed: Callable[[Secret | None], None]) -> None:
        """Calls `changed` with the Secret's data, or None while there is no such Secret; never ends."""
        while True:
            try:
                await self._follow_once(changed)
            except _Gone:
                _log.info("the watch starts anew", extra=fields(secret=self._name))
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, _Refused) as error:
                if self.connected or self._pause == _PAUSE_SECONDS[0]:
                    _log.warning(
                        "the Kubernetes API is away; what is known stays in force",
                        extra=fields(secret=self._name, error=f"{type(error).__name__}: {error}"),
                    )
            self.connected = False
            await asyncio.sleep(self._pause * random.uniform(0.5, 1))
            self._pause = min(self._pause * 2, _PAUSE_SECONDS[1])

    async def _follow_once(self, changed: Callable[[Secret | None], None]) -> None:
        async with self._session() as session:
            version = await self._list(session, changed)
            self.connected = True
            self._pause = _PAUSE_SECONDS[0]
            while True:
                version = await self._watch(session, version, changed)

    async def _list(self, session: aiohttp.ClientSession, changed: Callable[[Secret | None], None]) -> str:
        async with self._get(session, {}, _ANSWER_SECONDS) as response:
            await _check(response)
            found = await response.json()
        items = found["items"]
        changed(_data(items[0]) if items else None)
        return str(found["metadata"]["resourceVersion"])

    async def _watch(
        self, session: aiohttp.ClientSession, version: str, changed: Callable[[Secret | None], None]
    ) -> str:
        """The version to go on from when the server has ended this watch in good order, or fell silent.

        That says nothing yet: a server that was started a moment ago sends no bookmarks of what is unchanged.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),
        }
        async with self._get(session, query, _SILENT_SECONDS) as response:
            await _check(response)
            try:
                async for line in _lines(response.content):
                    version = _event(json.loads(line), changed)
            except aiohttp.SocketTimeoutError:
                _log.info("a silent watch begins anew", extra=fields(secret=self._name))
        return version

    def _session(self) -> aiohttp.ClientSession:
        return _session(self._api)

    def _get(self, session: aiohttp.ClientSession, query: dict[str, str], silent: float) -> Any:
        return session.get(
            self._path,
            params={"fieldSelector": f"metadata.name={self._name}", **query},
            headers=_headers(self._api),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silent),
        )


class ServiceAccounts:
    """The cluster as the issuer of its ServiceAccounts' tokens.

    Every ServiceAccount may read the keys (ClusterRole system:service-account-issuer-discovery); to have
    tokens reviewed needs a right to create TokenReviews.
    """

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._silent = False

    async def published(self) -> Published:
        """Raises OSError, TimeoutError or ValueError where there is no good answer."""
        issuer = (await self._ask("GET", "/.well-known/openid-configuration")).get("issuer")
        # Not from `jwks_uri`: that may be an address for others, outside of the cluster.
        return Published(str(issuer), KeySet(await self._ask("GET", "/openid/v1/jwks")))

    async def reviewed(self, token: str, audience: str) -> str | None:
        """The user whose token it is; None where the cluster does not take it. Raises IssuerUnavailable."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            answer = await self._ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
            status = answer["status"]
            self._silent = False
            good = status.get("authenticated") is True and audience in status.get("audiences", ())
            return str(status["user"]["username"]) if good else None
        except (OSError, TimeoutError, ValueError, KeyError) as error:
            if not self._silent:
                _log.warning(
                    "the cluster reviews no tokens: may the replicas' ServiceAccount create TokenReviews?",
                    extra=fields(error=f"{type(error).__name__}: {error}"),
                )
            self._silent = True
            raise IssuerUnavailable(
                "the cluster does not say whether your token is still good: try again",
                retry_after=_RETRY_SECONDS,
            ) from error

    async def reviews(self) -> bool:
        """Whether it lets this replica have tokens reviewed.

        Raises OSError, TimeoutError or ValueError where it does not say.
        """
        right = {"group": "authentication.k8s.io", "resource": "tokenreviews", "verb": "create"}
        asked = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": right},
        }
        answer = await self._ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_REVIEW_SECONDS)
        try:
            async with (
                _session(self._api) as session,
                session.request(
                    method,
                    path,
                    json=body,
                    headers=_headers(self._api) | {"Accept": "*/*"},  # keys are no application/json here
                    timeout=timeout,
                    allow_redirects=False,
                ) as response,
            ):
                return await document(response)
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _session(api: ApiServer) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cafile=api.ca) if api.ca is not None else True
    connector = aiohttp.TCPConnector(ssl=trust, limit=1, socket_factory=_socket)
    return aiohttp.ClientSession(api.url, connector=connector)


def _headers(api: ApiServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token.read_text().strip()}", "Accept": "application/json"}


def _event(event: dict[str, Any], changed: Callable[[Secret | None], None]) -> str:
    """The version that it brings. Raises _Gone or _Refused."""
    kind, item = event["type"], event["object"]
    if kind == "ERROR":
        if item.get("code") == HTTPStatus.GONE:
            raise _Gone
        raise _Refused(f"the watch failed: {item.get('message')}")
    if kind in {"ADDED", "MODIFIED"}:
        changed(_data(item))
    elif kind == "DELETED":
        changed(None)
    return str(item["metadata"]["resourceVersion"])


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status == HTTPStatus.GONE:
        raise _Gone
    if response.status != HTTPStatus.OK:
        raise _Refused(f"HTTP {response.status} {response.reason}")


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to the bound: the reader's own stop at 128 KiB."""
    held = bytearray()
    async for data in stream.iter_any():
        *ended, rest = data.split(b"\n")
        for line in ended:
            yield bytes(held) + line
            held.clear()
        held += rest
        if len(held) > _LONGEST_LINE:
            raise _Refused("an event of the watch is too long")


def _data(item: dict[str, Any]) -> Secret:
    return {key: base64.b64decode(value) for key, value in (item.get("data") or {}).items()}


def _socket(info: Any) -> socket.socket:
    """A peer that vanished is noticed in half a minute, though nothing is ever sent on a watch."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made
