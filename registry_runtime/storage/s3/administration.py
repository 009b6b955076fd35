"""The broad: batches of deletes, and multiparts, through boto3 in threads."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from registry_runtime.errors import StorageError, StorageUnavailable
from registry_runtime.storage.base import Missing, Multipart, Part, Unfinished
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.retries import ATTEMPTS, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from botocore.credentials import ReadOnlyCredentials
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import DeleteObjectsOutputTypeDef

    from registry_runtime.contract.config import S3Storage
    from registry_runtime.storage.calls import Call, Calls
    from registry_runtime.storage.s3.credentials import Credentials
    from registry_runtime.storage.s3.trust import Trust

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_THREADS = 16
_STALLED = 30.0  # seconds without a byte
_COMPLETING = 600.0  # some write all parts together before they say a word: 26 s for 6 GiB were seen


def _not_deleted(answer: DeleteObjectsOutputTypeDef, keys: Sequence[str]) -> dict[str, Fault]:
    """Nobody's silence is taken for a yes, for an answer may be cut short; nor is a yes beside a no."""
    done = {one["Key"] for one in answer.get("Deleted", ())}
    errors = {one["Key"]: Fault(200, one["Code"], one.get("Message", "")) for one in answer.get("Errors", ())}
    silent = Fault(500, "IncompleteBody")
    faults = {key: errors.get(key, silent) for key in keys if key in errors or key not in done}
    return {key: fault for key, fault in faults.items() if fault.code != "NoSuchKey"}


class Administration:
    """Operations on one bucket; keys are without the prefix. Raises StorageError."""

    def __init__(
        self,
        settings: S3Storage,
        credentials: Credentials,
        trust: Trust,
        session: Session,
        calls: Calls,
    ) -> None:
        self._calls = calls
        self._bucket = settings.bucket
        self._settings = settings
        self._prefix = settings.prefix
        self._credentials = credentials
        self._trust = trust
        self._session = boto3.session.Session(botocore_session=session)
        self._clients: dict[float, S3Client] = {}  # by the seconds that they wait for an answer
        self._made_for: tuple[ReadOnlyCredentials, ssl.SSLContext | None] | None = None
        self._making = asyncio.Lock()
        # Threads of its own: calls that hang must not keep the hashing of uploads waiting.
        self._threads = ThreadPoolExecutor(_THREADS, "s3")

    async def delete(self, keys: Sequence[str]) -> None:
        """What the storage could not remove now is asked for again; the others are gone.

        A storage that is throttled removes some each time: as long as it does, it is not given up.
        """
        left, attempt, in_vain = list(keys), 1, 0
        while True:
            faults = await self._delete(left, attempt)
            if not faults:
                return
            in_vain = in_vain + 1 if len(faults) == len(left) else 0
            lasting = next((fault for fault in faults.values() if not fault.worth_a_retry), None)
            if lasting or in_vain == ATTEMPTS:
                error = (lasting or next(iter(faults.values()))).error(self._bucket)
                error.left = frozenset(faults)
                raise error
            left, attempt = list(faults), min(attempt + 1, ATTEMPTS)
            await pause(attempt - 1)

    async def _delete(self, keys: Sequence[str], attempt: int) -> dict[str, Fault]:
        """What went wrong, by key. Raises StorageError, with all of them as `left`."""

        def call(client: S3Client) -> dict[str, Fault]:
            wanted = [self._prefix + key for key in keys]
            answer = client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in wanted]}
            )
            return _not_deleted(answer, wanted)

        try:
            found = await self._call("DeleteObjects", call, first=attempt)
        except StorageError as error:
            error.left = frozenset(keys)
            raise
        if any(fault.throttled for fault in found.values()):
            self._calls.throttled("DeleteObjects")
        return {key[len(self._prefix) :]: fault for key, fault in found.items()}

    async def complete(self, multipart: Multipart, parts: Sequence[Part]) -> None:
        """Raises Missing."""

        def call(client: S3Client) -> str:
            answer = client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._prefix + multipart.key,
                UploadId=multipart.id,
                MultipartUpload={"Parts": [{"PartNumber": one.number, "ETag": one.etag} for one in parts]},
            )
            return answer["ETag"]  # a status of 200 comes before the outcome

        await self._call("CompleteMultipartUpload", call, _COMPLETING)

    async def abort(self, multipart: Multipart) -> None:
        """Raises Missing."""
        await self._call(
            "AbortMultipartUpload",
            lambda client: client.abort_multipart_upload(
                Bucket=self._bucket, Key=self._prefix + multipart.key, UploadId=multipart.id
            ),
        )

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]:
        def call(client: S3Client) -> Sequence[Unfinished]:
            wanted = self._prefix + prefix
            answer = client.list_multipart_uploads(Bucket=self._bucket, Prefix=wanted)
            if answer["ResponseMetadata"]["HTTPHeaders"].get("server") == "MinIO":
                # It takes a prefix for a whole key: only without one it lists, what it began since its
                # start. What it forgot it removes by itself, after a day.
                answer = client.list_multipart_uploads(Bucket=self._bucket)
            found = list(answer.get("Uploads", ()))
            while answer["IsTruncated"]:
                answer = client.list_multipart_uploads(
                    Bucket=self._bucket,
                    Prefix=wanted,
                    KeyMarker=answer["NextKeyMarker"],
                    UploadIdMarker=answer["NextUploadIdMarker"],
                )
                found += answer.get("Uploads", ())
            return [
                Unfinished(Multipart(one["Key"][len(self._prefix) :], one["UploadId"]), one["Initiated"])
                for one in found
                if one["Key"].startswith(wanted)
            ]

        return await self._call("ListMultipartUploads", call)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    async def _call(
        self,
        operation: str,
        action: Callable[[S3Client], Result],
        patience: float | None = None,
        first: int = 1,
    ) -> Result:
        """`first` is the number of the first attempt."""
        last = first + ATTEMPTS - 1
        for attempt in range(first, last + 1):
            call = self._calls.begin(operation, attempt=attempt)
            try:
                return await self._once(call, action, patience or _STALLED)
            except KeyError:  # botocore takes an answer that breaks off before its body for an empty one
                if attempt < last:
                    await pause(attempt - first + 1)
        raise StorageUnavailable(f"the bucket {self._bucket} answers, and does not say what it must")

    async def _once(self, call: Call, action: Callable[[S3Client], Result], patience: float) -> Result:
        code, throttled = None, False
        try:
            client = await self._current(patience)
            result = await self._run(action, client)
            code = 200
        except ClientError as error:
            fault = Fault.of(error.response)
            code, throttled = fault.status or None, fault.throttled
            if fault.no_upload:
                raise Missing("the multipart upload is gone") from error
            raise fault.error(self._bucket) from error
        except (BotoCoreError, OSError) as error:  # it opens the CA bundle for each connection itself
            raise StorageUnavailable(f"the storage cannot be reached: {error}") from error
        finally:
            call.end(code, throttled=throttled)
        return result

    async def _run(self, action: Callable[[Argument], Result], argument: Argument) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, action, argument)

    async def _current(self, patience: float) -> S3Client:
        """A client that signs with the credentials of now, and trusts whom the CA bundle of now names.

        It waits for so many seconds for a byte of an answer.
        """
        async with self._making:
            credentials = await self._credentials.current()
            made_for = (credentials, self._trust.current() if self._settings.ca_file else None)
            if made_for != self._made_for:
                # Those before may be in use by another thread still; they close when that lets go of them.
                self._clients, self._made_for = {}, made_for
            if patience not in self._clients:
                self._clients[patience] = await self._run(partial(self._make, patience), credentials)
            return self._clients[patience]

    def _make(self, patience: float, credentials: ReadOnlyCredentials) -> S3Client:
        settings = self._settings
        client: S3Client = self._session.client(
            "s3",
            region_name=settings.region,
            endpoint_url=settings.endpoint,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            verify=str(settings.ca_file) if settings.ca_file else None,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if settings.path_style else "virtual"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 5},
                proxies={},  # as the other hand: the environment decides nothing here
                connect_timeout=5,
                read_timeout=patience,
                max_pool_connections=_THREADS,
            ),
        )
        return client
