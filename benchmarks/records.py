"""What an audit record costs: CPU time for each, from the request's fields to the bytes in the pipe.

`python -m benchmarks.records`. The least of many rounds: other work on the machine only adds.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from registry_runtime.api.access import AccessLog, judged
from registry_runtime.api.trace import Trace
from registry_runtime.auth.identity import Endpoint
from registry_runtime.contract.policy import Action
from registry_runtime.log import Lines

_ROUNDS, _EACH = 40, 10_000
_DIGEST = f"sha256:{'0' * 64}".encode()
_ANSWER = [
    (b"content-length", b"907"),
    (b"content-type", b"application/vnd.oci.image.manifest.v1+json"),
    (b"docker-content-digest", _DIGEST),
    (b"etag", b'"%b"' % _DIGEST),
]
_SCOPE = {
    "method": "GET",
    "path": "/v2/pier-one/app/manifests/latest",
    "path_params": {"name": "pier-one/app", "reference": "latest"},
    "client": ("192.0.2.1", 4711),
    "headers": [(b"host", b"x"), (b"user-agent", b"containerd/2.0.1"), (b"accept", b"*/*")],
}


def main() -> int:
    trace = Trace(Endpoint.PUBLIC, noun="manifest", who="0" * 16, account="shop", action=Action.PULL)
    trace.repository, trace.reason, trace.bytes_out = "pier-one/app", "Granted", 907
    trace.judged = judged(trace)  # as of a request that was let through before
    reader, writer = os.pipe()
    threading.Thread(target=_drain, args=(reader,), daemon=True).start()
    lines = Lines(partial(os.write, writer), most=1_000_000)
    lines.start()
    log = AccessLog(lines)

    def record() -> None:
        log.write(_SCOPE, trace, 200, 0.0003, _ANSWER)

    said = _least(record, lines)
    print(f"a record: {said:.2f} µs of CPU, its write and its reader in a thread beside it included")
    return 0


def _least(record: Callable[[], None], lines: Lines) -> float:
    """µs of CPU time of the whole process for each, the least of all rounds."""
    found = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(_EACH):
            record()
        lines.flush(60)
        found.append((time.process_time() - begun) / _EACH * 1e6)
    return min(found)


def _drain(reader: int) -> None:
    while os.read(reader, 1 << 20):
        pass


if __name__ == "__main__":
    sys.exit(main())
