"""One reconcile: observe once, render, apply what differs, judge, write the status where it differs.

Rendering (`desired`) and judging (`checks`) are pure; all requests are here, through `cluster`.

context: what every reconcile has in its hands; apply: children that are the same, ours, or somebody else's;
drift: whether an object still is what was applied; status: statuses and Events, written when they differ;
upgrades: begun one after the other, with what fleet remembers; repairs: what is told of drift;
access: the policy of a Registry; registry, namespace, access_token: one reconcile of each kind;
worker: from the queue to these; sweep: what no event told; rounds: again and again.
"""
