"""The door to other programs: run one, or learn in its own words why it failed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from quickstart.errors import CommandFailed


def run(
    *argv: str, stdin: str | bytes | None = None, env: Mapping[str, str] | None = None, timeout: float = 300
) -> str:
    """Standard output of a program that succeeded within `timeout` seconds. Raises CommandFailed.

    What is secret goes through `stdin` or files: command lines are seen by everybody.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(
            argv,
            input=data,
            capture_output=True,
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as missing:
        raise CommandFailed(argv, f"{argv[0]} is not installed") from missing
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(argv, f"no answer after {timeout:g} s") from late
    if done.returncode:
        raise CommandFailed(argv, (done.stderr or done.stdout).decode(errors="replace"))
    return done.stdout.decode(errors="replace")
