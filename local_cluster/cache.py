"""The cache of built things: an entry is named by a hash of its inputs, and appears whole or not at all."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def digest_of(words: Iterable[str], files: Iterable[Path] = (), *, below: Path | None = None) -> str:
    """A key of 16 hex digits over words, and over names (relative to `below`) and contents of files."""
    sha = hashlib.sha256()
    for word in words:
        sha.update(f"{len(word)}:{word}".encode())
    for file in sorted(files):
        name = file.relative_to(below) if below else Path(file.name)
        content = file.read_bytes()
        sha.update(f"{name.as_posix()}:{len(content)}:".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def make_once(entry: Path, make: Callable[[Path], None], *, waiting: Callable[[], None]) -> bool:
    """Makes `entry` (a file or a directory) unless it is there; says whether it had to.

    `make` gets a path in a temporary directory beside it and creates that; a rename then shows it to others.
    Two processes never make one entry twice, and what one left that was killed half way is swept by the next.
    `waiting` is called when another process is at it.
    """
    if entry.exists():
        return False
    locks = entry.parent / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with locked(locks / entry.name, waiting):
        if entry.exists():
            return False
        prefix = f".{entry.name}.making-"
        for leftover in entry.parent.glob(f"{prefix}*"):
            shutil.rmtree(leftover)
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=entry.parent))
        try:
            make(temporary / entry.name)
            (temporary / entry.name).rename(entry)
        finally:
            shutil.rmtree(temporary)
    return True


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds an exclusive lock that the kernel drops with this process, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
