"""One change at a time: a lock on the cluster's own directory, which the kernel drops with its holder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from local_cluster.waiting import until

LOCK_SECONDS = 120.0


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the lock, making the directory if need be. Raises TookTooLong while another process keeps it.

    A holder may remove the directory; who waited for that one then begins again with a new one.
    """
    while True:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            until(
                partial(try_lock, descriptor),
                LOCK_SECONDS,
                lambda: f"another process is changing the cluster in {directory}",
            )
            if same(descriptor, directory):
                yield
                return
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
