"""Entries of the cache: named by their inputs, made once, whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local_cluster.cache import digest_of, make_once


def ignore() -> None:
    """Nobody waits in this test."""


def test_the_key_follows_words_names_and_contents(tmp_path: Path) -> None:
    """Each input changes the key; the place where files lie does not."""
    keys = set()
    for folder, name, content in [("a", "go.mod", "1"), ("b", "go.mod", "2"), ("c", "go.sum", "1")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
        keys.add(digest_of(["x"], (tmp_path / folder).iterdir(), below=tmp_path / folder))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "go.mod").write_text("1")

    assert len(keys) == 3
    assert digest_of(["x"], (tmp_path / "d").iterdir(), below=tmp_path / "d") in keys
    assert digest_of(["y"], (tmp_path / "d").iterdir(), below=tmp_path / "d") not in keys
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    """The second call finds it; what `make` wrote is what is there."""
    entry = tmp_path / "bin" / "etcd"

    assert make_once(entry, lambda path: print(path.write_text("1")), waiting=ignore)
    assert not make_once(entry, lambda path: print(path.write_text("2")), waiting=ignore)

    assert entry.read_text() == "1"


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """An entry whose making fails half way is not there, nor is anything of it."""
    entry = tmp_path / "etcd"

    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("the compiler ended")

    with pytest.raises(RuntimeError, match="the compiler ended"):
        make_once(entry, fail, waiting=ignore)

    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_two_at_once_make_one(tmp_path: Path) -> None:
    """Of two that want an entry one makes it, the other waits, says so, and finds it."""
    made: list[str] = []
    waited: list[str] = []
    begun = threading.Event()

    def slowly(path: Path) -> None:
        begun.set()
        time.sleep(0.2)
        path.write_text("1")
        made.append("first")

    first = threading.Thread(target=make_once, args=(tmp_path / "etcd", slowly), kwargs={"waiting": ignore})
    first.start()
    begun.wait()
    assert not make_once(
        tmp_path / "etcd", lambda _path: made.append("second"), waiting=lambda: waited.append("second")
    )
    first.join()

    assert (made, waited) == (["first"], ["second"])


KILLED = """
import sys, time
from pathlib import Path
from local_cluster.cache import make_once

def make(path):
    path.write_text("half")
    print("half", flush=True)
    time.sleep(60)

make_once(Path(sys.argv[1]), make, waiting=lambda: None)
"""


def test_the_next_sweeps_what_a_killed_process_left(tmp_path: Path) -> None:
    """SIGKILL in the middle of a build blocks nobody and leaves no litter after the next one."""
    entry = tmp_path / "etcd"
    with subprocess.Popen([sys.executable, "-c", KILLED, entry], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not entry.exists()

    assert make_once(entry, lambda path: print(path.write_text("whole")), waiting=ignore)

    assert entry.read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".locks", "etcd"]
