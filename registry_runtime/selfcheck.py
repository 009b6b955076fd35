"""The replica's check of itself: a small push and pull through its own endpoint, as a client would make it.

Through the sockets that clients use, with TLS, credentials, decision and storage: whatever of that is broken
is found here before a client finds it. What is pushed is always the same, under one tag, so the storage
holds it once, however many replicas there are. The credentials are a bearer that the replica signs for
itself: it lasts for a minute, and opens nothing else (`contract.subject.SELF_CHECK`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from registry_runtime import tls
from registry_runtime.auth.scope import Scopes
from registry_runtime.auth.tokens import Bearers, Claims
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.contract.policy import Action
from registry_runtime.contract.state import SelfCheckReason, SelfCheckState
from registry_runtime.contract.subject import SELF_CHECK
from registry_runtime.log import fields
from registry_runtime.state import Rhythm, StateBoard, Watch

PERIOD = 300.0  # seconds between two that pass, at most
_LATE = 2 * PERIOD
_BEARER_SECONDS = 60
_LONGEST = 64 * 1024  # bytes of an answer
_TOLD = 300  # characters of an error
_RHYTHM = Rhythm(again=PERIOD, longest=5.0)
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a listener on all addresses is reached
_SILENT = f"the replica did not answer itself within {_RHYTHM.patience:g} s: look at its storage and its CPU"

_BLOB = b'{"is":"what the self-check of Roadstead pushes and pulls"}'
_DIGEST = Digest.of(_BLOB)
_CONFIG = '"mediaType":"application/vnd.roadstead.self-check.v1+json"'
_MANIFEST = (
    f'{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}",'
    f'"config":{{{_CONFIG},"digest":"{_DIGEST}","size":{len(_BLOB)}}},"layers":[]}}'
).encode()
_TAG = "latest"
_log = logging.getLogger(__name__)


class Failed(Exception):
    """What a client would have met; a sentence."""


@dataclass(frozen=True)
class Door:
    """A listener as its clients find it: its port, and the host name that they ask for."""

    name: str
    port: int
    host: str


class SelfCheck:
    """Checks, tells the board, and says when it has not passed for too long.

    `doors` are the listeners of the registry, the public one first; `address` is where they listen.
    """

    def __init__(
        self,
        board: StateBoard,
        bearers: Bearers,
        doors: Callable[[], tuple[Door, ...]],
        address: str,
        *,
        secure: bool,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._bearers = bearers
        self._doors = doors
        self._address = _ANYWHERE.get(address, address)
        self._secure = secure
        self._ticks = ticks
        self._passed: float | None = None
        silent = SelfCheckState(reason=SelfCheckReason.FAILED, message=_SILENT)
        self._watch = Watch(self.check, self._found, silent, _RHYTHM)
        board.update(self_check=SelfCheckState())

    def doubt(self) -> None:
        """Something failed: it is due."""
        self._watch.doubt()

    async def run(self) -> None:
        """It never ends; it begins when the replica is ready, and not before."""
        while not self._board.state.ready:
            await self._board.newer(self._board.state.version, PERIOD)
        await self._watch.run()

    def look(self) -> None:
        """Once a second: whether the next pass is overdue, whatever holds it up."""
        state = self._board.state.self_check
        overdue = self._passed is not None and self._ticks() - self._passed > _LATE
        if overdue and state is not None and state.good:
            message = f"it passed, and not again within {_LATE:g} s: look at the replica's log and its CPU"
            self._tell(SelfCheckState(reason=SelfCheckReason.LATE, message=message))

    def _found(self, state: SelfCheckState) -> None:
        if not self._board.state.ready:
            return  # it drains: its listeners close one after the other
        if state.good:
            self._passed = self._ticks()
        self._tell(state)

    def _tell(self, state: SelfCheckState) -> None:
        if state != self._board.state.self_check:
            log = _log.info if state.good else _log.error
            log("the replica checked itself", extra=fields(reason=state.reason, detail=state.message))
        self._board.update(self_check=state)

    async def check(self, thorough: bool) -> SelfCheckState:
        """One check. Thorough, blob and tag are pushed anew; else only where they are not there any more."""
        try:
            for door in self._doors():
                await self._certificate(door)
                async with self._session(door) as session:
                    asking = _Asking(session, self._base(door), door.name)
                    await asking.ask("GET", "", HTTPStatus.OK)
                    if door.name == "public":
                        await _push(asking, thorough=thorough)
                        await _pull(asking)
        except Failed as failed:
            return SelfCheckState(reason=SelfCheckReason.FAILED, message=str(failed))
        return SelfCheckState(reason=SelfCheckReason.PASSED, message="a push and a pull went through")

    async def _certificate(self, door: Door) -> None:
        """What is served on this socket now, whatever lies in the file."""
        if not self._secure:
            return
        try:
            shown = await tls.shown(self._address, door.port)
        except OSError as error:
            raise Failed(f"the {door.name} listener makes no TLS connection: {error}") from None
        fault = tls.fault(shown, datetime.now(UTC))
        if fault is not None:
            raise Failed(f"the certificate that the {door.name} listener serves {fault}: see TLSReady")

    def _session(self, door: Door) -> aiohttp.ClientSession:
        now = int(time.time())
        scopes = Scopes({SELF_CHECK: frozenset({Action.PULL, Action.PUSH})})
        replica = self._board.state.replica or "alone"
        claims = Claims("", now, now + _BEARER_SECONDS, scopes, provider=SELF_CHECK, name=replica)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls.unverified()),
            headers={"Host": door.host, "Authorization": f"Bearer {self._bearers.sign(claims)}"},
            auto_decompress=False,
        )

    def _base(self, door: Door) -> URL:
        scheme = "https" if self._secure else "http"
        return URL.build(scheme=scheme, host=self._address, port=door.port, path="/v2/")


class _Asking:
    """Requests to one listener."""

    def __init__(self, session: aiohttp.ClientSession, base: URL, name: str) -> None:
        self._session = session
        self._base = base
        self._name = name

    async def ask(
        self, method: str, path: str, *wanted: HTTPStatus, body: bytes = b"", **more: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body. Raises Failed where the status is another than is wanted."""
        try:
            url = self._base.join(URL(path, encoded=True))
            async with self._session.request(
                method, url, data=body or None, allow_redirects=False, **more
            ) as response:
                content = await response.content.read(_LONGEST)
                if response.status in wanted:
                    return response.status, response.headers, content
                raise Failed(f"{self._about(method, path)}: HTTP {response.status}{_told(content)}")
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Failed(f"{self._about(method, path)}: {type(error).__name__}: {error}") from None

    def _about(self, method: str, path: str) -> str:
        """Without the session of an upload: the same failure is to be the same text."""
        what = path.partition("/uploads/")[0] if "/uploads/" in path else path
        return f"{method} /v2/{what.removeprefix('/v2/')} at the {self._name} listener"


def _told(content: bytes) -> str:
    """The sentence of an OCI error."""
    try:
        return f": {json.loads(content)['errors'][0]['message']}"[:_TOLD]
    except (ValueError, LookupError, TypeError):
        return ""


async def _push(asking: _Asking, *, thorough: bool) -> None:
    """As clients do: what is there is not sent again, unless that is to be found out, too.

    But for the manifest, by its digest: of all pushes that write it costs the storage the least.
    """
    place = f"{SELF_CHECK}/blobs/"
    there = HTTPStatus.NOT_FOUND
    if not thorough:
        there = HTTPStatus((await asking.ask("HEAD", f"{place}{_DIGEST}", HTTPStatus.OK, there))[0])
    whole = there is HTTPStatus.NOT_FOUND
    if whole:
        _, headers, _ = await asking.ask("POST", f"{place}uploads/", HTTPStatus.ACCEPTED)
        location = f"{headers['Location']}?digest={_DIGEST}"
        await asking.ask("PUT", location, HTTPStatus.CREATED, body=_BLOB)
    kind = {"Content-Type": OCI_IMAGE}
    manifest = f"{SELF_CHECK}/manifests/{_TAG if whole else Digest.of(_MANIFEST)}"
    await asking.ask("PUT", manifest, HTTPStatus.CREATED, body=_MANIFEST, headers=kind)


async def _pull(asking: _Asking) -> None:
    """By tag, by digest, and the blob: each is what was pushed, to the byte."""
    for reference in (_TAG, str(Digest.of(_MANIFEST))):
        await _same(asking, f"{SELF_CHECK}/manifests/{reference}", _MANIFEST)
    await _same(asking, f"{SELF_CHECK}/blobs/{_DIGEST}", _BLOB)


async def _same(asking: _Asking, path: str, pushed: bytes) -> None:
    _, _, content = await asking.ask("GET", path, HTTPStatus.OK)
    if content != pushed:
        raise Failed(f"GET /v2/{path}: {len(content)} bytes that are not those that were pushed")
