"""Running other programs."""

from __future__ import annotations

import pytest

from local_cluster.errors import CommandFailed
from local_cluster.process import run


def test_a_program_that_ends_well_gives_its_output() -> None:
    """Both streams come back, each line is shown at once, and settings reach the program."""
    seen: list[str] = []

    output = run(["sh", "-c", "echo $GREETING; echo two >&2"], env={"GREETING": "one"}, each_line=seen.append)

    assert output == "one\ntwo"
    assert seen == ["one", "two"]


def test_a_failure_quotes_the_last_lines() -> None:
    """The error carries the end of what the program said, where compilers say what is wrong."""
    with pytest.raises(CommandFailed) as failure:
        run(["sh", "-c", "seq 100; echo pause.c:3: expected declaration; exit 3"])

    assert failure.value.status == 3
    assert len(failure.value.output) == 20
    assert "status 3" in str(failure.value)
    assert str(failure.value).endswith("pause.c:3: expected declaration")


def test_a_program_that_is_not_there_is_named() -> None:
    """The sentence names the program instead of a Python traceback."""
    with pytest.raises(CommandFailed, match="no-such-program: not found on PATH"):
        run(["no-such-program", "--version"])
