"""`python -m tests.fuzz FORMAT... --runs 1000000`: guided by coverage with atheris, else by mutation.

atheris is no dependency of the project: install it beside, where there is a wheel for the Python.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_MEMORY = 1024  # MiB that a process may have
_SECONDS = 5  # that one input may take
_STATISTIC = re.compile(r"stat::(number_of_executed_units|peak_rss_mb): +([0-9]+)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("formats", nargs="*", help="which; all of them by default")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        feed(options.formats[0], options.runs)
        return
    for name in options.formats or every():
        started = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz", name, "--runs", str(options.runs), "--alone"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        told = dict(_STATISTIC.findall(ended.stdout + ended.stderr))
        print(f"{name:14} {told} in {time.monotonic() - started:.0f} s", flush=True)
        if ended.returncode or told.get("number_of_executed_units") != str(options.runs):
            sys.exit(ended.stdout[-3000:] + ended.stderr[-5000:])


def every() -> list[str]:
    from tests.fuzz.every import EVERY  # noqa: PLC0415 - not before it is instrumented

    return [*EVERY, "http"]


def feed(name: str, runs: int) -> None:
    """So many inputs to one format, in this process."""
    with instrumented():
        from tests.fuzz.every import EVERY  # noqa: PLC0415
        from tests.fuzz.heads import application  # noqa: PLC0415
    found = application() if name == "http" else EVERY[name]
    if find_spec("atheris"):
        guided(found, runs)  # ends the process
    for data in mutated(random.Random(runs), found.seeds, runs, found.longest):
        found.check(data)
    print(f"stat::number_of_executed_units: {runs}")
    print(f"stat::peak_rss_mb: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")


@contextmanager
def instrumented() -> Iterator[None]:
    if not find_spec("atheris"):
        yield
        return
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["registry_runtime"]):
        yield


def guided(found: Any, runs: int) -> None:
    atheris = import_module("atheris")
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(found.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        settings = {"runs": runs, "rss_limit_mb": _MEMORY, "timeout": _SECONDS, "max_len": found.longest}
        arguments = [f"-{key}={value}" for key, value in settings.items()]

        def once(data: bytes) -> None:
            found.check(data)

        atheris.Setup([sys.argv[0], *arguments, "-print_final_stats=1", corpus], once)
        atheris.Fuzz()


def mutated(chance: random.Random, seeds: Sequence[bytes], count: int, longest: int) -> Iterator[bytes]:
    """Seeds, with pieces changed, cut out, doubled, and put together from several."""
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(0, 6)):
            place = chance.randint(0, len(data))
            piece = chance.choice((
                chance.randbytes(chance.randint(0, 4)),
                bytes(chance.choices(b'"%:/\\{}[],.-_= 09afZ~\r\n\0', k=chance.randint(1, 3))),
                bytes(data[place : place + chance.randint(0, 40)]),
                chance.choice(seeds)[: chance.randint(0, 60)],
            ))  # fmt: skip
            data[place : place + chance.choice((0, 0, 1, len(piece), 30))] = piece
        yield bytes(data[:longest])


if __name__ == "__main__":
    main()
