"""What a change would do, before it is applied: the operator's own reconcile, rehearsed.

manifests   files → the resources that they declare
edits       each of these as the API server would store it (a dry run), or why it would refuse it
consents    which Kubernetes namespaces let the operator write what it would
rehearsal   a cluster whose writes go nowhere, and are seen by later reads
primed      the cache as the operator would have it, from what the caller may read
owned       what of an object we applied last (pure)
changes     what is written → what changes, as diffs (pure)
clients     who loses and who gains access, by the runtime's own decision (pure)
outcome     the plan as a value
rehearse    all of it: before, the change, every reconcile that it brings about, after
"""
