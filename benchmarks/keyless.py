"""`python -m benchmarks.keyless`: what each pull pays for the kubelets' credential provider, beside Python.

Python is measured in the least that it could do, which is to start and to import what a provider needs. All
are started by the same means, and `true` says what these cost.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.table import median, table
from local_cluster.build import cache_root
from local_cluster.parts import CLUSTER, CREDENTIAL_PROVIDER, build

_ROUNDS = 300
_HOST = "harbour.roadstead.test"
_REQUEST = {
    "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
    "kind": "CredentialProviderRequest",
    "image": f"{_HOST}/pier-one/hello",
    "serviceAccountToken": ".".join(("a" * 80, "b" * 700, "c" * 86)),  # as long as one of the local cluster
}
_PYTHON = ("-I", "-S", "-E", "-c", "import json, re, sys; sys.stdin.read()")


def main() -> int:
    (part,) = (part for part in CLUSTER if part.name == CREDENTIAL_PROVIDER)
    provider = build(cache_root(), print, [part]).binary(CREDENTIAL_PROVIDER)
    interpreter = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    own = median("credential provider, start to end", "ms", _samples([str(provider), _HOST]), 5)
    print(f"\n{platform.platform()}, {os.cpu_count()} cores; {provider.stat().st_size / 2**20:.2f} MiB\n")
    print(table([own]))
    for what, argv in {"Python's start": [interpreter, *_PYTHON], "`true`": ["true"]}.items():
        print(f"{what}: {statistics.median(_samples(argv)):.2f} ms")
    return 0 if own.met else 1


def _samples(argv: Sequence[str]) -> list[float]:
    """Milliseconds from before its start until it has ended."""
    request = json.dumps(_REQUEST).encode()
    samples = []
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        subprocess.run(argv, input=request, stdout=subprocess.DEVNULL, check=True)
        samples.append((time.perf_counter() - begin) * 1000)
    return samples[_ROUNDS // 10 :]  # the first ones find cold files


if __name__ == "__main__":
    sys.exit(main())
