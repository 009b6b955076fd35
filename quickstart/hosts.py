"""Names in the machine's /etc/hosts, each line marked so that `down` finds it again."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path

from quickstart.errors import HostsNotWritable

HOSTS = Path("/etc/hosts")


def with_entries(text: str, mark: str, entries: Mapping[str, str]) -> str:
    """The file's text with these entries (name → address), and no others, under the mark.

    They come first, because the first line that has a name wins: a test beside a cluster that somebody
    is trying out shadows its names for a while, and leaves them as they were.
    """
    suffix = f"# {mark}"
    kept = [line for line in text.splitlines() if not line.endswith(suffix)]
    ours = [f"{address}\t{name}\t{suffix}" for name, address in sorted(entries.items())]
    return "\n".join([*ours, *kept]) + "\n"


def write(mark: str, entries: Mapping[str, str], path: Path = HOSTS) -> None:
    """Replace what stands under the mark, one writer at a time. In place: in a container it is a mount."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read()
            after = with_entries(before, mark, entries)
            if after != before:
                file.seek(0)
                file.write(after)
                file.truncate()
    except OSError as error:
        raise HostsNotWritable(f"{path} cannot be written ({error.strerror}): run as root.") from error
