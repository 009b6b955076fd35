"""What the operator tells Prometheus of the fleet, read at the moment when it is asked."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from registry_operator.cache import Cache
from registry_operator.metrics import Metrics
from registry_operator.models import AccessToken, Namespace, Registry
from registry_operator.queue import Kind, Queue
from registry_operator.replicas import Replicas
from registry_operator.watches import Watches

Tokens = Iterable[AccessToken]


def read(metrics: Metrics, cache: Cache, queue: Queue, watches: Watches, replicas: Replicas) -> None:
    """From now on the metrics read there."""
    registries, claims, tokens = cache.registries.objects, cache.claims.objects, cache.tokens.objects
    metrics.depth.reads_one(lambda: queue.depth)
    metrics.oldest.reads_one(lambda: queue.oldest)
    metrics.failing.reads(lambda: {(kind,): queue.failing.get(kind, 0) for kind in Kind})
    metrics.failures.reads_one(lambda: watches.restarts)
    metrics.silence.reads_one(lambda: watches.silence)
    metrics.followed.reads_one(lambda: len(watches.secrets.followed))
    metrics.polls.reads_one(lambda: replicas.followed)
    metrics.registries.reads(lambda: _by_ready(registries.values()))
    metrics.claims.reads(lambda: _by_ready(claims.values()))
    metrics.tokens.reads(
        lambda: Counter((one.meta.namespace, _status(one, "Ready")) for one in tokens.values())
    )
    metrics.expiring.reads(lambda: _by_namespace(tokens.values(), "Expiring", "True"))
    metrics.late.reads(lambda: _by_namespace(tokens.values(), "Rotated", "False"))
    metrics.conditions.reads(lambda: _conditions(registries.values()))
    metrics.replicas.reads(lambda: _each(registries.values(), lambda one: one.status.desired_replicas))
    metrics.serving.reads(lambda: _each(registries.values(), lambda one: one.status.ready_replicas))
    metrics.zones.reads(
        lambda: _each(registries.values(), lambda one: sum(count > 0 for count in one.status.zones.values()))
    )


def _status(one: Registry | Namespace | AccessToken, condition: str) -> str:
    found = one.status.condition(condition)
    return found.status if found is not None else "Unknown"


def _by_ready(found: Iterable[Registry | Namespace]) -> Mapping[tuple[str, ...], float]:
    """All three, also those of nobody: an alert compares them."""
    counted = Counter(_status(one, "Ready") for one in found)
    return {(status,): counted[status] for status in ("True", "False", "Unknown")}


def _by_namespace(tokens: Tokens, condition: str, status: str) -> Mapping[tuple[str, ...], float]:
    return Counter((one.meta.namespace,) for one in tokens if _status(one, condition) == status)


def _conditions(registries: Iterable[Registry]) -> Mapping[tuple[str, ...], float]:
    return {
        (*one.key, condition.type): float(condition.status == "True")
        for one in registries
        for condition in one.status.conditions
        if condition.status != "Unknown"
    }


def _each(
    registries: Iterable[Registry], value: Callable[[Registry], float]
) -> Mapping[tuple[str, ...], float]:
    return {tuple(one.key): value(one) for one in registries}
