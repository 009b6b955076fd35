"""`make bench`: measure on the three-zone cluster, print a table.

Each figure is the median of its rounds with the least and the greatest beside it, or a percentile with
the count. The machine is described above the table; a figure without it means nothing.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys

from benchmarks.memory import idle_memory
from benchmarks.ready import apply_to_ready
from benchmarks.secrets import noticed
from benchmarks.table import Row, table
from benchmarks.tokens import propagation
from tests.e2e.conftest import telling


def main() -> int:
    rows: list[Row] = []
    with telling("roadstead-bench", loopback="127.0.92.") as stage:
        rows += apply_to_ready(stage)
        rows += asyncio.run(propagation(stage))
        rows += idle_memory(stage)
        rows += asyncio.run(noticed(stage))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
