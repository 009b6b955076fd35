"""The machine's /etc/hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from quickstart import hosts
from quickstart.errors import HostsNotWritable

BEFORE = "127.0.0.1\tlocalhost\n# a comment\n127.0.89.9\told.test\t# mine\n"


def test_only_our_lines_change() -> None:
    """Lines under the mark are replaced, all others stay as they were."""
    after = hosts.with_entries(BEFORE, "mine", {"b.test": "127.0.89.2", "a.test": "127.0.89.1"})
    assert after.splitlines() == [
        "127.0.89.1\ta.test\t# mine",
        "127.0.89.2\tb.test\t# mine",
        "127.0.0.1\tlocalhost",
        "# a comment",
    ]


def test_nothing_stays_when_nothing_is_wanted(tmp_path: Path) -> None:
    """`down` leaves the file as it was before `up`, in place."""
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1\tlocalhost\n")
    inode = path.stat().st_ino
    hosts.write("mine", {"a.test": "127.0.89.1"}, path)
    assert "a.test" in path.read_text()
    hosts.write("mine", {}, path)
    assert path.read_text() == "127.0.0.1\tlocalhost\n"
    assert path.stat().st_ino == inode


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The remedy stands in the sentence."""
    with pytest.raises(HostsNotWritable, match="root"):
        hosts.write("mine", {"a.test": "127.0.89.1"}, tmp_path / "absent")
