"""The whole application, fed with requests that no client would send: an answer always, never a 5xx."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from starlette.types import Message

from registry_runtime.activity import ActivityBoard
from registry_runtime.api.access import AccessLog
from registry_runtime.api.admission import Admission
from registry_runtime.api.host import Hosts
from registry_runtime.api.trace import ENDPOINT, SECURE
from registry_runtime.api.why import Whys
from registry_runtime.app import registry_app
from registry_runtime.auth.gate import Gate
from registry_runtime.auth.identity import Endpoint
from registry_runtime.auth.throttle import Throttle
from registry_runtime.auth.tokens import Bearers
from registry_runtime.auth.vouching import Vouching
from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Token
from registry_runtime.issuers import published
from registry_runtime.log import Lines
from registry_runtime.metrics import Metrics
from registry_runtime.policy import PolicyFollower
from registry_runtime.repository import Registry
from registry_runtime.storage.directory import Directory
from tests.api.client import OCI_IMAGE, OCI_INDEX, basic
from tests.fuzz.formats import DIGEST, Format

ROBOT = Password.generate("0" * 16)
EMPTY = b"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
JSON = b"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
_RESET = 2000  # requests after which the storage is made anew
_MANIFEST = (
    b'{"schemaVersion":2,"config":{"mediaType":"c","digest":"' + JSON + b'","size":2},"layers":[],'
    b'"subject":{"mediaType":"' + OCI_IMAGE.encode() + b'","digest":"' + JSON + b'","size":2}}'
)
_METHODS = [b"GET", b"HEAD", b"PUT", b"POST", b"PATCH", b"DELETE", b"BREW"]
_NAMES = [b"open/a"] * 6 + [b"open/b/c", b"team/x", b"foreign/x", b"Team", b"open/" + b"a" * 250]
_REFERENCES = [b"latest", JSON, EMPTY, DIGEST, b"%s"]
_OPERATIONS = [
    *((method, b"/v2/%n/blobs/%r") for method in (b"GET", b"HEAD", b"DELETE")),
    *((method, b"/v2/%n/manifests/%r") for method in (b"GET", b"HEAD", b"PUT", b"DELETE", b"PUT", b"PUT")),
    *((method, b"/v2/%n/blobs/uploads/%u") for method in (b"GET", b"PATCH", b"PUT", b"DELETE") * 2),
    *[(b"POST", b"/v2/%n/blobs/uploads/")] * 3, (b"GET", b"/v2/%n/tags/list"),
    (b"GET", b"/v2/%n/referrers/%r"), (b"GET", b"/v2/_catalog"),
    (b"GET", b"/v2/"), (b"GET", b"/token"), (b"POST", b"/token"), (b"GET", b"/%s"),
    (b"GET", b"/v2/_roadstead/why"),
    (b"GET", b"/v2/%s/%s"),
]  # fmt: skip
_QUERIES = [
    b"", b"digest=" + EMPTY, b"digest=" + JSON, b"mount=" + JSON, b"mount=" + EMPTY + b"&from=open/a",
    b"n=2&last=a", b"n=%s&last=%s", b"artifactType=%s", b"tag=a&tag=%s", b"scope=repository:%s:pull",
    b"last=" + JSON, b"%s", b"digest=%s", b"digest-algorithm=sha512", b"repository=open/a&action=%s",
    b"repository=team/x&identity=%s", b"repository=team/x&identity=oidc:%s&endpoint=private&address=%s",
]  # fmt: skip
_BODIES = [
    b"",
    b"{}",
    _MANIFEST,
    b"grant_type=password&username=u&password=" + ROBOT.text.encode(),
    b"x" * 4096,
]
_TYPE = (b"content-type", OCI_IMAGE.encode())
_HEADERS = [
    (b"authorization", basic(ROBOT.text)["Authorization"].encode()), (b"authorization", b"%s"),
    (b"authorization", b"Bearer %s"), (b"content-type", OCI_INDEX.encode()), (b"content-type", b"%s"),
    (b"content-range", b"0-1"), (b"content-range", b"%s"), (b"range", b"bytes=0-0"), (b"range", b"bytes=%s"),
    (b"if-none-match", b"%s"), (b"if-range", b"%s"), (b"host", b"%s"), (b"content-length", b"%s"),
    (b"content-length", b"2"), (b"%s", b"%s"),
]  # fmt: skip


SEEDS = [
    bytes([operation, 0, reference, 0, 0, 0, 0, query, body])
    for operation in range(len(_OPERATIONS))
    for reference in range(3)
    for query in range(5)
    for body in range(4)
]


class Choices:
    """Decisions, read from bytes; when they are used up, the first of everything."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def byte(self) -> int:
        first, self._data = self._data[:1], self._data[1:]
        return first[0] if first else 0

    def of(self, many: list[Any]) -> Any:
        return many[self.byte() % len(many)]

    def some(self) -> bytes:
        length = self.byte()
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def filled(self, template: bytes) -> bytes:
        """Bytes of the input in the template's gaps, or something that is sometimes right."""
        first, *others = template.split(b"%s")
        return first + b"".join(
            (self.some() if self.byte() % 2 else self.of([*_NAMES, DIGEST])) + part for part in others
        )


class Application:
    """An application on a directory of its own, and what stands between it and a wire."""

    def __init__(self) -> None:
        logging.disable(logging.CRITICAL)
        self._loop = asyncio.new_event_loop()
        self._count = 0
        self._sessions: list[bytes] = []
        self._folder = self._fresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)
        self._loop.close()
        logging.disable(logging.NOTSET)

    def _fresh(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        registry = Registry(Directory(folder), Limits(), lambda: datetime.now(UTC), "owner")
        gate = Gate(
            lambda: _POLICY,
            Bearers.generate("fuzz/registry"),
            Throttle(clock=lambda: 0.0),
            bearer_seconds=300,
            clock=lambda: datetime.now(UTC),
        )
        vouching = Vouching(
            lambda: _POLICY, gate, published, None, clock=lambda: datetime.now(UTC), ticks=lambda: 0.0
        )
        hosts = Hosts({Endpoint.PUBLIC: ("registry.test",)}, "fuzz/registry")
        name, nothing = RepositoryName("open/a"), Digest.parse(JSON.decode())
        self._loop.run_until_complete(registry.uploads.push(name, nothing, _body(b"{}"), ""))
        self._log = io.BytesIO()
        access = AccessLog(Lines(self._log.write))
        board = ActivityBoard(lambda: _POLICY)
        follower = PolicyFollower({}, start=_POLICY, changed=lambda: None)
        self._app = registry_app(
            registry,
            gate,
            hosts,
            Limits(),
            Metrics(),
            admission=Admission(gate),
            vouching=vouching,
            access=access,
            doubt=lambda: None,
            board=board,
            whys=Whys(Admission(gate), follower, lambda: datetime.now(UTC)),
        )
        return folder

    def check(self, data: bytes) -> bool:
        self._count += 1
        if self._count % _RESET == 0:
            self._read_log()
            shutil.rmtree(self._folder)
            self._folder = self._fresh()
        scope, body = self._request(Choices(data))
        started, answer = self._loop.run_until_complete(self._answer(scope, body))
        assert 200 <= started["status"] < 500, (scope, body, answer)
        for header, value in started["headers"]:
            assert not set(header + value) & {0, 10, 13}, (scope, header, value)
            if header.lower() == b"docker-upload-uuid":
                self._sessions = [*self._sessions[-3:], value]
        return bool(started["status"] < 400)

    def _read_log(self) -> None:
        """Each request wrote one line, whatever stood in it."""
        lines = self._log.getvalue().splitlines()
        assert [json.loads(line)["message"] for line in lines] == ["request"] * (len(lines))
        assert len(lines) in {_RESET, _RESET - 1}

    def _request(self, choices: Choices) -> tuple[dict[str, Any], bytes]:
        method, path = choices.of(_OPERATIONS)
        path = path.replace(b"%n", choices.of(_NAMES)).replace(b"%r", choices.of(_REFERENCES))
        raw = b"/" + choices.filled(path.replace(b"%u", choices.of([*self._sessions, b"%s"]))).lstrip(b"/")
        if choices.byte() > 240:
            method = choices.of(_METHODS)
        headers = [choices.of(_HEADERS) for _ in range(choices.byte() % 4)]
        headers += [_TYPE] if choices.byte() < 200 else []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method.decode(),
            "path": unquote(raw.decode("latin-1")),
            "raw_path": raw,
            "query_string": choices.filled(choices.of(_QUERIES)),
            "headers": [(choices.filled(key).lower(), choices.filled(value)) for key, value in headers],
            "client": ("192.0.2.1", 5000),
            "server": ("registry.test", 443),
            "state": {ENDPOINT: Endpoint.PUBLIC, SECURE: True},
        }
        return scope, choices.filled(choices.of([*_BODIES, b"%s"]))

    async def _answer(self, scope: dict[str, Any], body: bytes) -> tuple[Message, bytes]:
        incoming: list[Message] = [
            {"type": "http.request", "body": body[:5], "more_body": True},
            {"type": "http.request", "body": body[5:], "more_body": False},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        async with asyncio.timeout(10):
            await self._app(scope, receive, send)
        started = [message for message in sent if message["type"] == "http.response.start"]
        if not sent:  # the body was shorter than it said, and so nobody is there any more
            assert any(key == b"content-length" for key, _ in scope["headers"]), (scope, body)
            return {"status": 499, "headers": []}, b""
        assert len(started) == 1, (scope, body)
        return started[0], b"".join(message.get("body", b"") for message in sent[1:])


async def _body(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _grant(*globs: str) -> Grant:
    return Grant(repositories=globs, actions=frozenset(Action))


_POLICY = Policy(
    namespaces={
        "team": Claim(account="a", owner="a"),
        "open": Claim(account="a", owner="a"),
        "foreign": Claim(account="b", owner="b"),
    },
    tokens={ROBOT.id: Token(account="a", owner="a", hashes=(ROBOT.sha256,), grants=(_grant("team/**"),))},
    anonymous=(_grant("open/**"),),
)


def application() -> Format:
    """A new application; it lives as long as the process."""
    return Format(Application().check, SEEDS)
