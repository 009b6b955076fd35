"""Small files that were read before: the same answer for less, and never an old one."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from registry_runtime.storage.lately import Lately

if TYPE_CHECKING:
    from pathlib import Path


def place(path: Path, content: bytes, *, age: float = 10) -> None:
    """As the directory does: a new file takes the name. `age` is in seconds."""
    new = path.with_name("new")
    new.write_bytes(content)
    then = time.time() - age
    os.utime(new, (then, then))
    new.replace(path)


def test_a_file_is_read_once_until_it_is_another(tmp_path: Path) -> None:
    """Also where the other one has the same length and claims the same time, and where it is gone."""
    lately, file = Lately(), tmp_path / "file"
    assert lately.read(str(file)) is None
    place(file, b"one")
    written = file.stat().st_mtime_ns
    first = lately.read(str(file))
    assert first is not None
    assert first.content == b"one"
    assert lately.read(str(file)) is first
    place(file, b"two")
    os.utime(file, ns=(written, written))
    second = lately.read(str(file))
    assert second is not None
    assert second.content == b"two"
    assert second.etag != first.etag
    file.unlink()
    assert lately.read(str(file)) is None


def test_a_file_that_somebody_wrote_over_is_another(tmp_path: Path) -> None:
    """In place, as long as before and with its old time: a restored backup may do so."""
    lately, file = Lately(), tmp_path / "file"
    place(file, b"one")
    written = file.stat().st_mtime_ns
    assert lately.read(str(file)) == lately.read(str(file))
    file.write_bytes(b"two")
    os.utime(file, ns=(written, written))
    found = lately.read(str(file))
    assert found is not None
    assert found.content == b"two"


def test_a_file_whose_folder_became_a_file_is_gone(tmp_path: Path) -> None:
    """A repository may come to have the name of what was a part of another's."""
    lately, folder = Lately(), tmp_path / "folder"
    folder.mkdir()
    place(folder / "file", b"one")
    assert lately.read(str(folder / "file")) is not None
    (folder / "file").unlink()
    folder.rmdir()
    folder.touch()
    assert lately.read(str(folder / "file")) is None


def test_what_was_written_just_now_is_read_again(tmp_path: Path) -> None:
    """The next file may have its number, and by a coarse clock its time."""
    lately, file = Lately(), tmp_path / "file"
    place(file, b"new", age=0)
    assert lately.read(str(file)) is not lately.read(str(file))
    assert lately.read(str(file)) == lately.read(str(file))


def test_what_is_kept_is_little(tmp_path: Path) -> None:
    """Long files are not, and of very many the first ones go."""
    lately = Lately()
    place(tmp_path / "long", bytes(3000))
    assert lately.read(str(tmp_path / "long")) is not lately.read(str(tmp_path / "long"))
    files = [tmp_path / f"{number}" for number in range(2100)]
    for file in files:
        place(file, b"x")
    read = [lately.read(str(file)) for file in files]
    assert lately.read(str(files[-1])) is read[-1]
    assert lately.read(str(files[0])) is not read[0]
