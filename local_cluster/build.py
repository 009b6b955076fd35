"""`python -m local_cluster.build`: builds the cluster's parts and images, showing how long each takes."""

import argparse
import os
import sys
import time
from pathlib import Path

from local_cluster import parts
from local_cluster.errors import ClusterError


def main() -> int:
    arguments = parse()
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {line}", flush=True)

    wanted = [part for part in parts.ALL if part.name in arguments.part] or parts.CLUSTER
    try:
        parts.build(cache_root(), report, wanted)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cluster.build", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[part.name for part in parts.ALL], default=[])
    return parser.parse_args()


def cache_root() -> Path:
    return Path(os.environ.get("ROADSTEAD_CACHE") or Path.home() / ".cache" / "roadstead")


if __name__ == "__main__":
    sys.exit(main())
