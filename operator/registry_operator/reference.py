"""Prints the pages of docs/ whose truth is the code: `python -m registry_operator.reference docs`."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from registry_operator.metrics import Metrics
from registry_runtime.contract.exposition import Family
from registry_runtime.metrics import Metrics as RuntimeMetrics

METRICS = """\
# Metrics

Printed from the code by `make docs`. Each replica serves `/metrics` on its port 8080, the operator on its
port 8081, as plain HTTP in Prometheus' text format. NetworkPolicies let in only Kubernetes namespaces with
the label `roadstead.dev/metrics: allowed`. [Monitoring](monitoring.md) says how they are scraped, and what
is made of them.

Counters end with `_total`, other names with their unit. Times are seconds, moments are seconds of Unix.
Labels have few values: no metric names a repository, a tag, a person or a token. `domain` is public or
private, `noun` is what a URL is about: base, token, manifest, blob, upload, tags, referrers, catalog, why,
or unknown.

## A replica
{replica}

## The operator
Those of Registries and AccessTokens are of the operator that leads; one that waits has none of them.

{operator}

## Both
{both}
"""


def pages() -> Mapping[str, str]:
    """By file name."""
    replica, operator = RuntimeMetrics(), Metrics()
    both = operator.process.families()
    shared = {one.name for one in both}
    return {
        "metrics.md": METRICS.format(
            replica=_table(one for one in replica.families() if one.name not in shared),
            operator=_table(one for one in operator.families() if one.name not in shared),
            both=_table(both),
        )
    }


def _table(families: Iterable[Family]) -> str:
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.meaning} |"
        for one in families
    ]
    return "\n".join(("| Metric | Type | Labels | |", "|---|---|---|---|", *rows))


def main(folder: Path) -> None:
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
