"""Requests to the API server. Objects are plain JSON: no generated models, which cost 31 MiB."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from yarl import URL

from registry_operator.cluster.credentials import Credentials
from registry_operator.cluster.resources import BY_CONSENT, LEASES, NAMESPACES, SECRETS, Resource, resource_of
from registry_operator.cluster.wire import NO_ANSWER, Answer, Wire
from registry_operator.errors import (
    AdmissionDenied,
    ClusterError,
    NamespaceTerminating,
    NotFound,
    NotPermitted,
    QuotaExceeded,
    Refused,
    Unavailable,
    WriteConflict,
)

Object = dict[str, Any]

MANAGER = "roadstead"  # owns what it renders
STATUS_MANAGER = "roadstead-status"
HOLDER = "roadstead-handover"
REQUESTS = 12  # at a time: a connection for each child of each Registry would cost 20 MiB
LISTS = 6  # at a time, beside these: a start has one for each namespace, and answers of megabytes
PAGE = 100  # objects of one page of a list
QUIET_SECONDS = 75  # a watch has a bookmark each minute: longer silence is a dead connection
LONGEST_REST = 30.0  # seconds, whatever an answer asks for
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
METADATA = "application/json;as={kind};v=v1;g=meta.k8s.io"
# A version that no object ever has: an apply with it makes an object, and is a conflict where there is one.
NONE = "1"


class Gone(ClusterError):
    """The resource version is too old to go on from: list again."""


class Seen(Protocol):
    """Which object, and in which version, somebody saw: what is written is written over that and no other."""

    @property
    def uid(self) -> str:
        """`metadata.uid`."""

    @property
    def resource_version(self) -> str:
        """`metadata.resourceVersion`."""


class Version(NamedTuple):
    """Of an object as it was read."""

    uid: str
    resource_version: str

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Self:
        return cls(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"])


class Scope(NamedTuple):
    """Which objects of a resource: of one namespace or all (None), by a label or field selector."""

    namespace: str | None = None
    labels: str = ""
    fields: str = ""

    @property
    def query(self) -> dict[str, str]:
        selectors = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {name: selector for name, selector in selectors.items() if selector}


class Asked(NamedTuple):
    """What a request was for."""

    verb: str
    resource: Resource
    namespace: str | None


class Page(NamedTuple):
    """Objects of a list, and the version to watch from."""

    items: list[Object]
    version: str


class Cluster:
    """One API server. `count(verb, resource, code)` is told of each request; code 0 means no answer.

    While `may_write()` is false, nothing but a Lease is written: a leader that was paused may be none. A
    request that was on its way by then changes nothing that was written since: each names what was seen.
    """

    def __init__(
        self,
        credentials: Credentials,
        count: Callable[[str, str, int], None],
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._credentials = credentials
        self._count = count
        self.may_write = may_write
        self._slots = asyncio.Semaphore(REQUESTS)
        self._lists = asyncio.Semaphore(LISTS)
        self._wire = Wire(credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Raises NotFound, NotPermitted, Unavailable."""
        place = resource.place(namespace, name)
        return await self._json("get", resource, resource.path(namespace, name), place, namespace)

    async def pages(self, resource: Resource, scope: Scope, *, metadata: bool = False) -> AsyncIterator[Page]:
        """All objects, page by page, so that only one page is ever in memory; `metadata`: nothing else."""
        query = {"limit": str(PAGE)} | scope.query
        headers = {"Accept": METADATA.format(kind="PartialObjectMetadataList")} if metadata else {}
        namespace = scope.namespace
        place, path = resource.place(namespace, None), resource.path(namespace)
        while True:
            answer = await self._json("list", resource, path, place, namespace, query=query, headers=headers)
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}  # items of a list lack it
            items = [kind | item for item in answer.get("items") or ()]
            yield Page(items, answer["metadata"]["resourceVersion"])
            following = answer["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following

    async def text(
        self, resource: Resource, namespace: str, name: str, subresource: str, query: dict[str, str]
    ) -> str:
        """What is no object, such as a log; what is no UTF-8 in it is replaced."""
        path, place = resource.path(namespace, name, subresource), resource.place(namespace, name)
        headers = {"Accept": "*/*"}
        asked = self._ask("get", resource, path, place, namespace, query=query, headers=headers)
        async with self._slot("get", resource), asked as response:
            return (await response.read()).decode(errors="replace")

    async def version(self) -> str:
        """Of the API server, as JSON."""
        asked = self._ask("get", NAMESPACES, "/version", "version", None)
        async with self._slot("get", NAMESPACES), asked as response:
            return (await response.read()).decode()

    async def create(self, obj: Mapping[str, Any]) -> Object:
        """Raises WriteConflict where one of this name exists."""
        resource, namespace, name = _address(obj)
        return await self._json(
            *("create", resource, resource.path(namespace), resource.place(namespace, name), namespace),
            method="POST",
            body=obj,
            query={"fieldManager": MANAGER},
        )

    async def apply(self, obj: Mapping[str, Any], seen: Seen | None) -> Object:
        """Server-side apply of the full intent over what was seen; None: where none of this name is there.

        Raises WriteConflict where it is another by now.
        """
        return await self._apply(obj, seen, MANAGER, "")

    async def hold(self, obj: Mapping[str, Any], seen: Seen) -> Object:
        """Fields that we are about to leave to others, as they are: WriteConflict where they are not."""
        return await self._apply(obj, seen, HOLDER, "", force=False)

    async def apply_status(self, obj: Mapping[str, Any], seen: Seen) -> Object:
        """The whole status. Raises WriteConflict where the object is another than the one that was judged."""
        return await self._apply(obj, seen, STATUS_MANAGER, "status")

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Object, seen: Seen
    ) -> Object:
        """A JSON merge patch (RFC 7396) of what was seen. Raises NotFound; WriteConflict where it changed."""
        return await self._json(
            *("patch", resource, resource.path(namespace, name), resource.place(namespace, name), namespace),
            method="PATCH",
            body=_over(patch, seen),
            query={"fieldManager": MANAGER},
            headers={"Content-Type": MERGE},
        )

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """PUT, with the resourceVersion that was read. Raises WriteConflict."""
        resource, namespace, name = _address(obj)
        return await self._json(
            *("update", resource, resource.path(namespace, name), resource.place(namespace, name), namespace),
            method="PUT",
            body=obj,
            query={"fieldManager": MANAGER},
        )

    async def delete(self, resource: Resource, namespace: str | None, name: str, seen: Seen) -> None:
        """Deletes what was seen, if it is there. Raises WriteConflict where it changed, or is another now."""
        preconditions = {"uid": seen.uid, "resourceVersion": seen.resource_version}
        body = {"preconditions": preconditions, "propagationPolicy": "Background"}
        place = resource.place(namespace, name)
        path = resource.path(namespace, name)
        with suppress(NotFound):
            await self._json("delete", resource, path, place, namespace, method="DELETE", body=body)

    async def watch(
        self, resource: Resource, scope: Scope, version: str, seconds: int
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events (ADDED, MODIFIED, DELETED, BOOKMARK) until the server ends it after so many seconds.

        Raises Gone when `version` is too old or the stream has an error event, and the errors of a request.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        } | scope.query
        namespace = scope.namespace
        place, path = resource.place(namespace, None), resource.path(namespace)
        asked = self._ask("watch", resource, path, place, namespace, query=query, quiet=QUIET_SECONDS)
        async with asked as answer:
            async for line in _lines(answer.chunks()):
                yield _event(line, place)
                del line  # a thousand streams wait for hours: what came last must not wait with them

    async def _apply(
        self, obj: Mapping[str, Any], seen: Seen | None, manager: str, subresource: str, *, force: bool = True
    ) -> Object:
        resource, namespace, name = _address(obj)
        place = resource.place(namespace, name)
        return await self._json(
            *("apply", resource, resource.path(namespace, name, subresource), place, namespace),
            method="PATCH",
            body=_over(obj, seen),
            query={"fieldManager": manager, "force": str(force).lower()},
            headers={"Content-Type": APPLY},
        )

    async def _json(
        self, verb: str, resource: Resource, path: str, place: str, namespace: str | None, **request: Any
    ) -> Object:
        asked = self._ask(verb, resource, path, place, namespace, **request)
        async with self._slot(verb, resource), asked as response:
            answer: Object = json.loads(await response.read())
            return answer

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        """Not to be kept by what lasts: a thousand watches would have a thousand tokens in memory."""
        sent = {"Content-Type": "application/json"} | dict(more or {})
        if authorization := self._credentials.authorization():
            sent["Authorization"] = authorization
        return sent

    def _slot(self, verb: str, resource: Resource) -> AbstractAsyncContextManager[None]:
        """A thousand lists may wait: what is written waits for none of them, and the Lease for nothing."""
        if resource is LEASES:
            return nullcontext()
        return self._lists if verb == "list" else self._slots

    @asynccontextmanager
    async def _ask(
        self,
        verb: str,
        resource: Resource,
        path: str,
        place: str,
        namespace: str | None,
        *,
        method: str = "GET",
        body: Any = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        quiet: float | None = None,
    ) -> AsyncIterator[Answer]:
        """`quiet`: of what lasts, how many seconds it may be silent."""
        if method != "GET" and resource is not LEASES and not self.may_write():
            raise Unavailable(f"{place}: not written: this operator leads no longer", place)
        url = URL(f"{self._credentials.server}{path}").with_query(query or {})
        code = 0
        try:
            data = None if body is None else json.dumps(body).encode()
            lasts = None if quiet is None else self._wire.watch(url, self._headers(headers), quiet)
            async with lasts or self._wire.request(method, url, data, self._headers(headers)) as answer:
                code = answer.status
                if code >= 300:  # noqa: PLR2004 - the API server redirects nothing
                    error = _fault(code, await _status(answer), place, Asked(verb, resource, namespace))
                    if isinstance(error, Unavailable):
                        error.retry_after = _retry_after(answer.headers.get("retry-after", ""))
                    raise error
                self._count(verb, resource.plural, code)
                yield answer
        except (*NO_ANSWER, json.JSONDecodeError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"{place}: no answer of the API server: {reason}", place) from error
        finally:
            if not 200 <= code < 300:  # noqa: PLR2004 - HTTP
                self._count(verb, resource.plural, code)


def _address(obj: Mapping[str, Any]) -> tuple[Resource, str | None, str]:
    resource = resource_of(obj)
    metadata = obj["metadata"]
    return resource, metadata.get("namespace"), metadata["name"]


def _event(line: bytes, place: str) -> tuple[str, Object]:
    """Its type, and what it is of. Raises Gone for an error."""
    event = json.loads(line)
    if event["type"] == "ERROR":  # 410 mostly; after any other, too, only a list is safe
        raise Gone(f"{place}: {event['object'].get('message')}", place)
    return event["type"], event["object"]


def _over(obj: Mapping[str, Any], seen: Seen | None) -> Object:
    """The object, to be written over that alone."""
    meant = {"uid": seen.uid, "resourceVersion": seen.resource_version} if seen else {"resourceVersion": NONE}
    return {**obj, "metadata": {**obj.get("metadata", {}), **meant}}


async def _status(answer: Answer) -> Object:
    try:
        said = json.loads(await answer.read())
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _retry_after(header: str) -> float:
    """Seconds (RFC 9110 §10.2.3); a date, which no API server sends, and what is no number are 0."""
    return min(LONGEST_REST, float(header)) if header.isascii() and header.isdigit() else 0.0


FAULTS: dict[int, type[ClusterError]] = {404: NotFound, 409: WriteConflict, 410: Gone, 429: Unavailable}
RIGHT_IS_MISSING = (" cannot ", "attempting to grant RBAC permissions not currently held")
DENIED: tuple[tuple[str, type[ClusterError]], ...] = (
    ("exceeded quota: ", QuotaExceeded),
    ("failed quota: ", QuotaExceeded),
    ("because it is being terminated", NamespaceTerminating),
)


def _fault(code: int, status: Object, place: str, asked: Asked) -> ClusterError:
    """The error of an HTTP code and its Status. A Status of the API server quotes no Secret's data."""
    message = f"{place}: {status.get('message') or f'HTTP {code}'}"
    if code == 401:  # noqa: PLR2004 - HTTP
        return Unavailable(f"{place}: the API server refused our credentials", place)
    if code == 403:  # noqa: PLR2004 - HTTP
        reads = asked.verb in {"get", "list", "watch"}
        if not reads and (denied := _denied(message)):
            return denied(message, place)
        consents = asked.resource is SECRETS or (asked.resource in BY_CONSENT and not reads)
        return NotPermitted(message, place, (asked.namespace or "") if consents else "")
    return FAULTS.get(code, Refused if 400 <= code < 500 else Unavailable)(message, place)  # noqa: PLR2004


def _denied(message: str) -> type[ClusterError] | None:
    """Admission answers 403, too; only the sentence tells it from a right that is missing (None).

    The words are those of k8s.io/apiserver: forbiddenMessage, admission.NewForbidden, and of the plugins.
    """
    for words, error in DENIED:
        if words in message:
            return error
    missing = any(words in message for words in RIGHT_IS_MISSING)
    return None if missing or message.endswith("HTTP 403") else AdmissionDenied


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines of any length: aiohttp's own reader refuses those over 128 KiB, and a Secret may have 1 MiB."""
    begun: list[bytes] = []  # of a line that has not ended; to join it for each chunk would be quadratic
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join((*begun, ended[0]))
            begun = []
        begun.append(rest)
        lines = [line for line in reversed(ended) if line]
        del chunk, ended, rest  # nothing that was read may stay in memory until more comes
        while lines:
            yield lines.pop()
