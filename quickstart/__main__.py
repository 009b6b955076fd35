"""`python -m quickstart up | down | kubeconfig`: what the Makefile's verbs of the same names call."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from local_cluster.build import cache_root
from local_cluster.errors import ClusterError
from quickstart.errors import QuickstartError
from quickstart.kind import KindProvider
from quickstart.local import LocalProvider
from quickstart.progress import Progress
from quickstart.provider import Provider, docker_and_kind
from quickstart.story import Story

NAME = "roadstead"
MARK = "roadstead (make down removes this line)"


def main() -> int:
    """Exit status 1 with one sentence where something is wrong with the machine or a step failed."""
    words = argparse.ArgumentParser(prog="python -m quickstart", description=__doc__)
    words.add_argument("verb", choices=("up", "down", "kubeconfig"))
    verb = words.parse_args().verb
    story = Story(provider(), MARK, Progress())
    try:
        if verb == "kubeconfig":
            print(story.provider.kubeconfig)
        elif os.geteuid() != 0:
            print("Run this as root: the cluster is made of namespaces and mounts.", file=sys.stderr)
            return 1
        else:
            story.up() if verb == "up" else story.down()
    except (QuickstartError, ClusterError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def provider() -> Provider:
    """kind where Docker and kind are there, else our own cluster."""
    begin = time.monotonic()

    def report(line: str) -> None:
        print(f"   [{time.monotonic() - begin:5.1f} s] {line}", flush=True)

    if docker_and_kind():
        state = Path("/var/lib/roadstead") / f"kind-{NAME}"
        return KindProvider(NAME, cache_root(), state, report)
    return LocalProvider(NAME, cache_root(), report)


if __name__ == "__main__":
    sys.exit(main())
