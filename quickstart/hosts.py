"""Names in the machine's /etc/hosts, each line marked so that `down` finds it again."""

from __future__ import annotations

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
    """Replace what stands under the mark. In place: in a container the file is a mount."""
    try:
        before = path.read_text()
        after = with_entries(before, mark, entries)
        if after != before:
            path.write_text(after)
    except OSError as error:
        raise HostsNotWritable(f"{path} cannot be written ({error.strerror}): run as root.") from error
