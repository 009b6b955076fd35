"""The frequent and the large: signed requests to the objects of a bucket.

Over TLS the payload is not hashed for the signature: TLS protects it. Over plain HTTP that of records is;
what is larger holds bytes of a blob, which its digest or the tags of its frames protect, and hashing it here
as well would double the cost of a push.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar
from urllib.parse import quote, urlsplit

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.storage.base import SMALL
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.pool import Pool
from registry_runtime.storage.s3.retries import ATTEMPTS, Budget, pause
from registry_runtime.storage.s3.signature import Address, Signer, host_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.contract.config import S3Storage
    from registry_runtime.storage.calls import Call, Calls
    from registry_runtime.storage.s3.connection import Connection
    from registry_runtime.storage.s3.credentials import Credentials
    from registry_runtime.storage.s3.trust import Trust

T = TypeVar("T", "Answer", "Response")
UNSIGNED = "UNSIGNED-PAYLOAD"
_OPERATIONS = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST": "CreateMultipartUpload",
}
_NOTHING = hashlib.sha256().hexdigest()
_SIGNED = 64 * 1024  # bytes of a body at most
_AT_ONCE = 128  # requests that are not streamed
_SLOWEST = 256 * 1024  # bytes in a second that a body must make to be worth waiting for
_PATIENCE = 30.0  # seconds more, for an answer that is not streamed


class Refused(Exception):
    """The storage answered, and it is no success."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.status} {fault.code}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """A success, read to its end; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Response:
    """A success whose body is still to be read; it has to be closed."""

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self.status = connection.status
        self.headers = connection.headers

    async def some(self) -> Buffer:
        """The next bytes, none at the end. Raises OSError."""
        assert self._connection
        return await self._connection.some()

    async def rest(self) -> bytes:
        assert self._connection
        return await self._connection.rest()

    def close(self) -> None:
        """The connection serves again if all was read."""
        connection, self._connection = self._connection, None
        if connection:
            self._pool.give_back(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wire:
    """Requests to the objects of one bucket. Raises StorageError, and Refused for what callers judge."""

    def __init__(self, settings: S3Storage, credentials: Credentials, trust: Trust, calls: Calls) -> None:
        self._calls = calls
        self._settings = settings
        self._credentials = credentials
        self._signer = Signer(settings.region)
        base = urlsplit(base_url(settings))
        self._secure = base.scheme == "https"
        self._host = host_of(base)
        self._path = f"{base.path.rstrip('/')}/"
        port = base.port or (443 if self._secure else 80)
        self._pool = Pool(base.hostname or "", port, trust if self._secure else None)
        self._budget = Budget()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def send(
        self,
        method: str,
        key: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Buffer] = (),
        doubt: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """One request, and more where a retry is worth it; `doubt` may raise after one without an answer."""

        async def whole() -> Answer:
            async with self._turn, asyncio.timeout(_PATIENCE + max(SMALL, sum(map(len, body))) / _SLOWEST):
                with await self.open(method, key, query=query, headers=headers, body=body) as response:
                    return Answer(response.status, response.headers, await response.rest())

        return await self._tried(_operation(method, key, query), key, whole, doubt)

    async def stream(self, key: str, headers: Mapping[str, str]) -> Response:
        """A GET whose body the caller reads and closes."""
        return await self._tried("GetObject", key, lambda: self.open("GET", key, headers=headers))

    async def _tried(
        self,
        operation: str,
        key: str | None,
        once: Callable[[], Awaitable[T]],
        doubt: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """What `once` gives, asked again where that is worth it."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = await self._counted(self._calls.begin(operation, key, attempt), once)
            except Refused as refused:
                if not (refused.fault.worth_a_retry and self._again(attempt)):
                    raise
            except OSError as error:  # TimeoutError is one, and what TLS says
                if isinstance(error, ssl.SSLError) or not self._again(attempt):
                    self._unreachable(error)
                if doubt:
                    await doubt()
            else:
                self._budget.succeed()
                return result
            await pause(attempt)
        raise AssertionError("the last attempt answers or raises")

    @staticmethod
    async def _counted(call: Call, once: Callable[[], Awaitable[T]]) -> T:
        code, throttled = None, False
        try:
            result = await once()
            code = result.status
        except Refused as refused:
            code, throttled = refused.fault.status, refused.fault.throttled
            raise
        finally:
            call.end(code, throttled=throttled)
        return result

    async def open(
        self,
        method: str,
        key: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Buffer] = (),
    ) -> Response:
        """One request, once, to an object, or to the bucket itself. Raises Refused, OSError."""
        address = self._address(key, query)
        size = sum(map(len, body))
        payload = self._payload_hash(body, size)
        credentials = await self._credentials.current()
        signed = self._signer.sign(method, address, headers or {}, payload, credentials)
        if method in {"PUT", "POST"}:
            signed["Content-Length"] = str(size)
        head = _head(method, address.target, signed)
        response = Response(self._pool, await self._asked(head, body, size, bodiless=method == "HEAD"))
        if response.status in {200, 204, 206}:
            return response
        with response:
            raise Refused(Fault.read(response.status, await response.rest()))

    async def _asked(self, head: bytes, body: Sequence[Buffer], size: int, *, bodiless: bool) -> Connection:
        """A connection with the head of the answer.

        One that was used before may have been ended by the server meanwhile: that is no fault of anybody's.
        """
        fresh = False
        while True:
            connection = await self._pool.lease(fresh=fresh)
            try:
                await connection.ask(head, body, size, bodiless=bodiless)
            except ConnectionError:
                self._pool.give_back(connection)
                if fresh or not connection.reused:
                    raise
                fresh = True
            except BaseException:
                self._pool.give_back(connection)
                raise
            else:
                return connection

    async def close(self) -> None:
        await self._pool.close()

    def unreachable(self, error: Exception) -> StorageUnavailable:
        where = self._host
        if isinstance(error, ssl.SSLError):
            return StorageUnavailable(
                f"TLS with the storage at {where} fails, its certificate authority must be in the CA bundle: "
                f"{_cause(error)}"
            )
        return StorageUnavailable(f"the storage at {where} cannot be reached: {_cause(error)}")

    def _unreachable(self, error: Exception) -> NoReturn:
        raise self.unreachable(error) from error

    def _again(self, attempt: int) -> bool:
        return attempt < ATTEMPTS and self._budget.spend()

    def _address(self, key: str | None, query: Mapping[str, str] | None) -> Address:
        path = self._path if key is None else self._path + _escape(self._settings.prefix + key)
        if not query:
            return Address(self._host, path, "")
        words = (f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
        return Address(self._host, path, "&".join(words))

    def _payload_hash(self, body: Sequence[Buffer], size: int) -> str:
        if self._secure or size > _SIGNED:
            return UNSIGNED
        return _sha256(body) if size else _NOTHING


def base_url(settings: S3Storage) -> str:
    """Where the bucket's keys begin, in path or in virtual-host style; without a slash at the end."""
    china = ".cn" if settings.region.startswith("cn-") else ""
    endpoint = (settings.endpoint or f"https://s3.{settings.region}.amazonaws.com{china}").rstrip("/")
    if settings.path_style:
        return f"{endpoint}/{settings.bucket}"
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{settings.bucket}.{rest}"


def _operation(method: str, key: str | None, query: Mapping[str, str] | None) -> str:
    """S3's name of it."""
    if query is not None and "partNumber" in query:
        return "UploadPart"
    return "ListObjectsV2" if key is None else _OPERATIONS[method]


def _escape(key: str) -> str:
    """A key as a path, in the one form that is signed. Mostly the colon is all that does not stay.

    `quote` only looks at a text of which all stays, and else goes through it character by character.
    """
    return "%3A".join(quote(part, safe="/-_.~") for part in key.split(":"))


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Raises StorageRefused for what would be another header."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    text = "\r\n".join((*lines, "", ""))
    if text.count("\n") + text.count("\r") != 2 * (len(lines) + 1) or not text.isascii():
        raise StorageRefused(
            "the credentials hold a line break or another character that no request can have: correct the "
            "Secret that credentialsSecretRef names",
            StorageReason.DENIED,
        )
    return text.encode()


def _sha256(body: Sequence[Buffer]) -> str:
    hasher = hashlib.sha256()
    for block in body:
        hasher.update(block)
    return hasher.hexdigest()


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
