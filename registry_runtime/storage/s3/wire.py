"""The frequent and the large: signed requests on an asynchronous HTTP client.

Over TLS the payload is not hashed for the signature: TLS protects it, and content is checked against its
digest. Over plain HTTP it is.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage.base import SMALL
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.retries import ATTEMPTS, Budget, pause
from registry_runtime.storage.s3.signature import Signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.contract.config import S3Storage
    from registry_runtime.storage.s3.credentials import Credentials
    from registry_runtime.storage.s3.trust import Trust

T = TypeVar("T")
UNSIGNED = "UNSIGNED-PAYLOAD"
_WHOLE = 512 * 1024  # bytes of a body that are sent in one piece
_THREAD = 256 * 1024
_CONNECTIONS = 128
_READ_BUFFER = 512 * 1024
_SLOWEST = 256 * 1024  # bytes in a second that a body must make to be worth waiting for
_PATIENCE = 30.0  # seconds more, for an answer that is not streamed
_STALLED = 20.0  # seconds without a byte


class Refused(Exception):
    """The storage answered, and it is no success."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.status} {fault.code}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Answer:
    """A success, read to its end."""

    headers: Mapping[str, str]
    content: bytes


class Wire:
    """Requests to the objects of one bucket. Raises StorageError, and Refused for what callers judge."""

    def __init__(self, settings: S3Storage, credentials: Credentials, trust: Trust) -> None:
        self._settings = settings
        self._credentials = credentials
        self._trust = trust
        self._signer = Signer(settings.region)
        self._base = base_url(settings)
        self._secure = self._base.startswith("https:")
        self._budget = Budget()
        self._client: aiohttp.ClientSession | None = None

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
            async with asyncio.timeout(_PATIENCE + max(SMALL, sum(map(len, body))) / _SLOWEST):
                async with await self.open(method, key, query=query, headers=headers, body=body) as response:
                    return Answer(response.headers, await response.read())

        return await self._tried(whole, doubt)

    async def stream(self, key: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """A GET whose body the caller reads and closes."""
        return await self._tried(lambda: self.open("GET", key, headers=headers))

    async def _tried(
        self, once: Callable[[], Awaitable[T]], doubt: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """What `once` gives, asked again where that is worth it."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = await once()
            except Refused as refused:
                if not (refused.fault.worth_a_retry and self._again(attempt)):
                    raise
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if isinstance(error, aiohttp.ClientSSLError) or not self._again(attempt):
                    self._unreachable(error)
                if doubt:
                    await doubt()
            else:
                self._budget.succeed()
                return result
            await pause(attempt)
        raise AssertionError("the last attempt answers or raises")

    async def open(
        self,
        method: str,
        key: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Buffer] = (),
    ) -> aiohttp.ClientResponse:
        """One request, once, to an object, or to the bucket itself. Raises Refused."""
        url = self._url(key, query)
        size = sum(map(len, body))
        payload = await self._payload_hash(body, size)
        credentials = await self._credentials.current()
        signed = self._signer.sign(method, url, headers or {}, payload, credentials)
        response = await self._session().request(
            method,
            URL(url, encoded=True),
            headers={**signed, "Content-Length": str(size)} if method == "PUT" else signed,
            data=_data(body, size) if size else None,
            ssl=self._trust.current() if self._secure else False,  # another one, another connection
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_STALLED),
        )
        if response.status in {200, 204, 206}:
            return response
        async with response:
            raise Refused(Fault.read(response.status, await response.read()))

    async def close(self) -> None:
        if self._client:
            await self._client.close()

    def unreachable(self, error: Exception) -> StorageUnavailable:
        where = urlsplit(self._base).netloc
        if isinstance(error, aiohttp.ClientSSLError):
            return StorageUnavailable(
                f"TLS with the storage at {where} fails, its certificate authority must be in the CA bundle: "
                f"{_cause(error)}"
            )
        return StorageUnavailable(f"the storage at {where} cannot be reached: {_cause(error)}")

    def _unreachable(self, error: Exception) -> NoReturn:
        raise self.unreachable(error) from error

    def _again(self, attempt: int) -> bool:
        return attempt < ATTEMPTS and self._budget.spend()

    def _url(self, key: str | None, query: Mapping[str, str] | None) -> str:
        path = "" if key is None else quote(self._settings.prefix + key, safe="/-_.~")
        if not query:
            return f"{self._base}/{path}"
        words = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
        return f"{self._base}/{path}?{words}"

    async def _payload_hash(self, body: Sequence[Buffer], size: int) -> str:
        if self._secure:
            return UNSIGNED
        return await asyncio.to_thread(_sha256, body) if size >= _THREAD else _sha256(body)

    def _session(self) -> aiohttp.ClientSession:
        """The client belongs to the event loop that first asks for it."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
            )
        return self._client


def base_url(settings: S3Storage) -> str:
    """Where the bucket's keys begin, in path or in virtual-host style; without a slash at the end."""
    china = ".cn" if settings.region.startswith("cn-") else ""
    endpoint = (settings.endpoint or f"https://s3.{settings.region}.amazonaws.com{china}").rstrip("/")
    if settings.path_style:
        return f"{endpoint}/{settings.bucket}"
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{settings.bucket}.{rest}"


def _data(body: Sequence[Buffer], size: int) -> bytes | AsyncIterator[Buffer]:
    return b"".join(body) if size <= _WHOLE else _pieces(body)


async def _pieces(body: Sequence[Buffer]) -> AsyncIterator[Buffer]:
    for block in body:
        view = memoryview(block)
        for start in range(0, len(view), _WHOLE):
            yield view[start : start + _WHOLE]


def _sha256(body: Sequence[Buffer]) -> str:
    hasher = hashlib.sha256()
    for block in body:
        hasher.update(block)
    return hasher.hexdigest()


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__
