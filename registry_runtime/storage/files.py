"""Files of a directory: keys as paths, writes that are whole or not there, locks between processes.

```
<root>/objects/<key, its components escaped>
<root>/parts/<escaped key>~<began>~<random>/<fence>   a file that is written in parts
<root>/temporary/<random>                             one small object, before it gets its name
<root>/locks/<00 to ff>                               flock for changing what is there
```
A process that is killed never leaves half an object: an object gets its name when its bytes are written
and flushed to the disk. A loss of power may forget the newest names, never their content.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from random import getrandbits
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import quote, unquote

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from registry_runtime.content.buffer import Buffer

Result = TypeVar("Result")

_SAFE = "!:~@,+="
_NAME = rf"[\w\-{_SAFE}][\w.\-{_SAFE}]*"
_PLAIN = re.compile(rf"{_NAME}(?:/{_NAME})*", re.ASCII)  # nothing to escape in such a key
_IOV = 512  # buffers in one write; Linux takes 1,024
_ATTEMPTS = 100  # a folder that another process prunes is made again
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class translated:  # noqa: N801 - reads as what it does; a generator would cost as much as a small read
    """In its context, the system's errors are the storage's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, _traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in _REFUSED:
            raise StorageRefused(
                f"the directory cannot be used: {error}; give its owner to the registry's user, writable",
                StorageReason.DENIED,
            ) from error
        raise StorageUnavailable(f"the directory failed: {error}") from error


class Files:
    """Paths below one root. Every function blocks for as long as the disk takes."""

    def __init__(self, root: Path) -> None:
        self.objects = root / "objects"
        self.parts = root / "parts"
        self.temporary = root / "temporary"
        self._temporary = f"{self.temporary}"
        self._locks = root / "locks"
        self._prefix = f"{self.objects}/"

    def path(self, key: str) -> str:
        below = key if _PLAIN.fullmatch(key) else "/".join(map(escape, key.split("/")))
        return f"{self._prefix}{below}"

    def written(self, content: bytes) -> str:
        """A temporary file that holds this, flushed; it is the caller's to name and to unlink."""
        temporary = f"{self._temporary}/{getrandbits(128):032x}"
        descriptor = retried(
            lambda: os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), temporary
        )
        try:
            while content:
                content = content[os.write(descriptor, content) :]
            os.fdatasync(descriptor)
        except BaseException:
            try_unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        return temporary

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Only one thread of one process changes what is at the key."""
        path = f"{self._locks}/{zlib.crc32(key.encode()) & 0xFF:02x}"
        descriptor = retried(lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def prune(self, path: str) -> None:
        """Removes the folders above that are empty now."""
        for folder in Path(path).parents:
            if folder == self.objects:
                return
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue  # somebody else prunes the same branch
            except OSError:
                return

    def walk(self, prefix: str, after: str) -> Iterator[str]:
        """Keys that start with `prefix` and come after `after`, in the order of their bytes."""
        base = prefix.rpartition("/")[0]
        yield from self._below(base + "/" if base else "", prefix, after)

    def _below(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        try:
            with os.scandir(self.path(folder[:-1]) if folder else self.objects) as entries:
                # A folder sorts as its keys do, with the slash: "a-b" comes before "a/b".
                keys = [
                    f"{folder}{unquote(entry.name)}{'/' if entry.is_dir(follow_symlinks=False) else ''}"
                    for entry in entries
                ]
        except (FileNotFoundError, NotADirectoryError):
            return
        for key in sorted(key for key in keys if _reaches(key, prefix, after)):
            if key.endswith("/"):
                yield from self._below(key, prefix, after)
            else:
                yield key


def _reaches(key: str, prefix: str, after: str) -> bool:
    """Whether a key, or one below this folder, is wanted."""
    if key.endswith("/"):
        return (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key))
    return key.startswith(prefix) and key > after


def linked(temporary: str, path: str) -> bool:
    """Gives a file a further name; False where that is another one's."""
    try:
        retried(lambda: os.link(temporary, path), path)
    except FileExistsError:
        return False
    return True


def retried(action: Callable[[], Result], path: str) -> Result:
    """Does what needs the folder of this path, which is made when it is missing."""
    for _ in range(_ATTEMPTS):
        try:
            return action()
        except FileNotFoundError:
            with suppress(FileNotFoundError, FileExistsError):  # it, or its parent, was pruned at this moment
                _make(path.rpartition("/")[0])
    return action()


def _make(folder: str) -> None:
    """Mostly all above it is there."""
    try:
        os.mkdir(folder, 0o700)  # noqa: PTH102 - paths are text here
    except FileNotFoundError:
        os.makedirs(folder, 0o700, exist_ok=True)  # noqa: PTH103


def write_at(descriptor: int, content: Sequence[Buffer], offset: int) -> int:
    """Writes all buffers from `offset` on; returns how many bytes that were."""
    waiting = [memoryview(buffer).cast("B") for buffer in content if len(buffer)]
    total = sum(map(len, waiting))
    while waiting:
        written = os.pwritev(descriptor, waiting[:_IOV], offset)
        offset += written
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]
    return total


def read(path: str) -> bytes | None:
    """A whole file, or None where there is none."""
    found = opened(path)
    return None if found is None else found[0]


def opened(path: str) -> tuple[bytes, os.stat_result] | None:
    """A whole file, and what the system knows of it, or None where there is none.

    By the system's own calls: a file object takes twice as long as they do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(descriptor)
        content = os.read(descriptor, status.st_size)
        while len(content) < status.st_size:
            content += os.read(descriptor, status.st_size - len(content)) or cut(path)
    except IsADirectoryError:
        return None
    else:
        return content, status
    finally:
        os.close(descriptor)


def cut(path: object) -> NoReturn:
    """The error of a file that ends too soon."""
    raise OSError(errno.EIO, "the file became shorter while it was read", path)


def etag(content: bytes) -> str:
    """Names content, as S3 does."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def try_unlink(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 - paths are text here
    except FileNotFoundError:
        return


def escape(component: str) -> str:
    """One component of a key as a file's name: no slash, no leading dot, never empty."""
    name = quote(component, safe=_SAFE)
    return f"%2E{name[1:]}" if name.startswith(".") else name or "%"
