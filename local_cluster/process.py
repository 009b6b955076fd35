"""Running other programs: the one door to subprocess for everything that is built."""

import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from local_cluster.errors import CommandFailed

LAST_LINES = 20


def run(
    argv: list[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    each_line: Callable[[str], None] = lambda _line: None,
    keep: int | None = LAST_LINES,
) -> str:
    """Output (stdout and stderr together) of a program that ended well: its last `keep` lines, or all (None).

    `env` is added to this process's environment. `each_line` sees every line at once, to show progress.
    Raises CommandFailed with the last lines, also when the program is not there.
    """
    settings = [f"{name}={value}" for name, value in (env or {}).items()]
    last: deque[str] = deque(maxlen=keep)
    if shutil.which(argv[0]) is None:
        raise CommandFailed(argv, 127, [f"{argv[0]}: not found on PATH"])
    with subprocess.Popen(
        ["env", *settings, *argv] if settings else argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip("\n"))
            each_line(last[-1])
        status = process.wait()
    if status != 0:
        raise CommandFailed(argv, status, list(last)[-LAST_LINES:])
    return "\n".join(last)
