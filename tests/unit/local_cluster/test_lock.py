"""One change at a time."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from local_cluster import lock
from local_cluster.errors import TookTooLong
from local_cluster.lock import locked


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """Also when the first removes the directory: the second has one of its own then."""
    directory = tmp_path / "state"
    order: list[str] = []

    def second() -> None:
        with locked(directory):
            order.append("second")
            assert directory.is_dir()

    with locked(directory):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.05)
        order.append("first")
        shutil.rmtree(directory)
    waiting.join(5)

    assert order == ["first", "second"]


def test_who_waits_too_long_is_told_what_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the directory of the cluster."""
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0.05)

    with locked(tmp_path / "one"), pytest.raises(TookTooLong, match="one"), locked(tmp_path / "one"):
        pytest.fail("both have it")
