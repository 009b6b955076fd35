"""Every metric of the operator, declared once: docs/metrics.md is printed from here (`make docs`)."""

from registry_runtime.contract.exposition import Counter, Families, Family, Gauge, Histogram
from registry_runtime.contract.process import Process

OF_REGISTRY = ("namespace", "registry")


class Metrics(Families):
    """Who does what is counted counts it here; what is only asked for, `gauges` reads."""

    def __init__(self) -> None:
        self.process = Process()
        self._work()
        self._streams()
        self._fleet()

    def families(self) -> list[Family]:
        return [*super().families(), *self.process.families()]

    def request(self, verb: str, resource: str, code: int) -> None:
        self.requests.add(1, verb, resource, str(code))

    def _work(self) -> None:
        self.leader = Gauge("roadstead_leader", "1 while this operator holds the Lease and works.")
        self.leader.set(0)
        self.reconciles = Counter(
            "roadstead_reconciles_total", "Reconciles by kind and result.", ("kind", "result")
        )
        self.durations = Histogram("roadstead_reconcile_seconds", "How long reconciles took.", ("kind",))
        self.waits = Histogram(
            "roadstead_queue_wait_seconds", "From when work was due to when it began.", ("kind",)
        )
        self.depth = Gauge("roadstead_queue_depth", "Work that is due.")
        self.oldest = Gauge("roadstead_queue_oldest_seconds", "Since when the oldest of it is due.")
        self.failing = Gauge("roadstead_queue_failing", "Work that failed and is tried again.", ("kind",))
        self.propagation = Histogram(
            "roadstead_policy_propagation_seconds",
            "From writing a policy to a replica's word that it is in force, for each replica.",
        )
        self.healed = Counter(
            "roadstead_sweep_healed_total", "Changes of what kopf watches that no watch told.", ("resource",)
        )
        self.dropped = Counter("roadstead_events_dropped_total", "Events that were not written.")

    def _streams(self) -> None:
        self.requests = Counter(
            "roadstead_api_requests_total",
            "Requests to the Kubernetes API; code 0 is no answer.",
            ("verb", "resource", "code"),
        )
        self.restarts = Counter("roadstead_watch_restarts_total", "Times that kopf was started anew.")
        self.failures = Counter("roadstead_stream_failures_total", "Watches that failed and began again.")
        self.silence = Gauge("roadstead_stream_silence_seconds", "Longest silence of a watch.")
        self.followed = Gauge("roadstead_secret_streams", "Kubernetes namespaces whose Secrets are followed.")
        self.polls = Gauge("roadstead_replica_polls", "Replicas that are polled.")

    def _fleet(self) -> None:
        self.registries = Gauge("roadstead_registries", "Registries by their condition Ready.", ("ready",))
        self.claims = Gauge("roadstead_namespaces", "Namespaces by their condition Ready.", ("ready",))
        self.tokens = Gauge(
            "roadstead_access_tokens",
            "AccessTokens by their condition Ready.",
            ("namespace", "ready"),
        )
        self.expiring = Gauge(
            "roadstead_access_tokens_expiring", "AccessTokens that end soon, or have ended.", ("namespace",)
        )
        self.late = Gauge(
            "roadstead_access_tokens_rotation_late", "AccessTokens whose rotation waits.", ("namespace",)
        )
        self.conditions = Gauge(
            "roadstead_registry_condition",
            "1 where the condition is True, 0 where it is False; none while it is not known.",
            (*OF_REGISTRY, "condition"),
        )
        self.replicas = Gauge("roadstead_registry_replicas", "Replicas that are wanted.", OF_REGISTRY)
        self.serving = Gauge("roadstead_registry_ready_replicas", "Replicas that serve.", OF_REGISTRY)
        self.zones = Gauge("roadstead_registry_zones", "Zones that serving replicas are in.", OF_REGISTRY)
