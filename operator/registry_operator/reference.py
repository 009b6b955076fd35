"""Prints the pages of docs/ whose truth is the code: `python -m registry_operator.reference docs`."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from registry_operator.checks import refusals
from registry_operator.events import ACTIONS, BAD_WHEN_TRUE, SILENT
from registry_operator.fields import section
from registry_operator.metrics import Metrics
from registry_operator.models.kinds import KINDS
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

EVENTS = """\
# Events

Printed from the code by `make docs`. The operator writes Events of `events.k8s.io/v1` beside the resource
that they are about (`regarding`), so `kubectl describe` and `kubectl events --for registry/NAME` show them.
What is the same again is one Event with a growing `series`. They are hints for people, and Kubernetes drops
them after an hour: what is true stands in the conditions.

## When a condition changes
One Event, when a condition comes true or no longer holds: what does not hold yet, and what is not known, is
no news. Its `reason` is the condition's, which [conditions](conditions.md) lists with the remedy; its note
begins with the condition, as in `StorageReady=False: the bucket harbour refuses the credentials; …`.
{silent} are silent: Ready, or an Event of its own, says the same, or it is no news.

{conditions}

`Stalled` and `Expiring` are bad when they are true; a new reason for being so is an Event, too.

## When something is done for good
| Kind | Reason | Type | Action | |
|---|---|---|---|---|
| AccessToken | `Expired` | Normal | `Delete` | it has ended, and `whenExpired: Delete` took it away |
| Registry | `Upgrading` | Normal | `Upgrade` | its pods change to another release; the note has both |
| Registry | `Released` | Normal | `Delete` | what was deleted, what stays ([deletion](deletion.md)) |

## When another hand changed a child
On the Registry whose child it is, or on the AccessToken: a Secret with its password, a ServiceAccount that
names its pull secret. The note says which object, which fields and, where it is known, whose hand; never a
value ([upgrades](upgrades.md#drift)). A Namespace has no children.

| Reason | Type | Action | |
|---|---|---|---|
| `DriftRepaired` | Normal | `Repair` | it is as it was, or a password that was lost is another one |
| `DriftContested` | Warning | `Repair` | five times within ten minutes: told once a minute, with a count |

## When somebody is refused
On the AccessToken whose password it was, and on the Namespace that was asked for. The note says what, by
which domain, why, and the remedy; [activity](activity.md) says how soon, and how often at most.

{refusals}
"""


FIELDS = """\
# Every field

Printed from the models by `make crds`, as the CRDs in [`crds/`](../crds) are; `kubectl explain
registry.spec` and its like say the same. All three kinds are of `roadstead.dev/v1alpha1`. `[]` stands behind
the name of a list, `.*` for any name. The API server fills in the defaults, and refuses at the apply
what does not fit: `Refused` is followed by the sentence that it says then (CEL rules of the CRD).

[Registry](#registry) · [Namespace](#namespace) · [AccessToken](#accesstoken)

{kinds}
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
        ),
        "events.md": _events(),
        "fields.md": FIELDS.format(kinds="\n\n".join(section(kind) for kind in KINDS)),
    }


def _events() -> str:
    types = {True: "Warning | Normal", False: "Normal | Warning"}
    changes = [
        f"| `{kind}` | {types[kind in BAD_WHEN_TRUE]} | `{action}` |" for kind, action in ACTIONS.items()
    ]
    of_refusals = [
        f"| `{reason}` | Warning | `Refuse` | {f'`{action}`' if action else 'a login'} |"
        for action, reason in refusals.EVENTS.items()
    ]
    return EVENTS.format(
        silent=", ".join(f"`{kind}`" for kind in sorted(SILENT)),
        conditions="\n".join(("| Condition | True | False | Action |", "|---|---|---|---|", *changes)),
        refusals="\n".join(("| Reason | Type | Action | Refused was |", "|---|---|---|---|", *of_refusals)),
    )


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
