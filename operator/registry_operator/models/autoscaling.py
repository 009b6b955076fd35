"""How a Registry's replicas follow its load: what becomes a HorizontalPodAutoscaler (autoscaling/v2).

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/horizontal-pod-autoscaler-v2/
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from registry_operator.models.base import ObjectName, Selector, Value, rules

QUANTITY = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$"
Quantity = Annotated[
    Annotated[str, Field(max_length=32, pattern=QUANTITY)] | int,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
Name = Annotated[str, Field(min_length=1, max_length=253, description="Name of the metric.")]


class Target(Value):
    """What a metric is to be. The field named by `type` is the one that is given."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                (
                    "(self.type == 'Utilization') == has(self.averageUtilization)"
                    " && (self.type == 'Value') == has(self.value)"
                    " && (self.type == 'AverageValue') == has(self.averageValue)"
                ),
                "a metric's target has one of averageUtilization, value, averageValue: that of its type",
            ),
        )
    )

    type: Annotated[
        Literal["Utilization", "Value", "AverageValue"],
        Field(description="Percent of what is requested, one value, or the average of a replica."),
    ]
    average_utilization: Annotated[
        int | None, Field(ge=1, le=10_000, description="Percent of the requests, with type: Utilization.")
    ] = None
    value: Annotated[Quantity | None, Field(description="With type: Value.")] = None
    average_value: Annotated[Quantity | None, Field(description="With type: AverageValue.")] = None


class Metric(Value):
    """Which metric of the custom or external metrics API is meant."""

    name: Name
    selector: Annotated[Selector | None, Field(description="Labels of the metric's series.")] = None


class ResourceMetric(Value):
    """A resource of the pods, such as memory."""

    name: Name
    target: Annotated[Target, Field(description="What it is to be.")]


class PodsMetric(Value):
    """A metric that each replica has, averaged."""

    metric: Annotated[Metric, Field(description="Which metric.")]
    target: Annotated[Target, Field(description="What it is to be; type: AverageValue.")]


class DescribedObject(Value):
    """The object that a metric is of."""

    api_version: Annotated[str, Field(max_length=253, description="Its apiVersion.")] = "v1"
    kind: Annotated[str, Field(min_length=1, max_length=63, description="Its kind.")]
    name: Annotated[ObjectName, Field(description="Its name.")]


class ObjectMetric(Value):
    """A metric of one object of the namespace, such as the Service."""

    metric: Annotated[Metric, Field(description="Which metric.")]
    described_object: Annotated[DescribedObject, Field(description="Of which object.")]
    target: Annotated[Target, Field(description="What it is to be.")]


class MetricSource(Value):
    """A further metric. The highest of the numbers that all metrics ask for is taken."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                (
                    "(self.type == 'Resource') == has(self.resource)"
                    " && (self.type == 'Pods') == has(self.pods)"
                    " && (self.type == 'Object') == has(self.object)"
                    " && (self.type == 'External') == has(self.external)"
                ),
                "a metric has one of resource, pods, object, external: that of its type",
            ),
        )
    )

    type: Annotated[Literal["Resource", "Pods", "Object", "External"], Field(description="Whose metric.")]
    resource: Annotated[ResourceMetric | None, Field(description="With type: Resource.")] = None
    pods: Annotated[PodsMetric | None, Field(description="With type: Pods.")] = None
    object: Annotated[ObjectMetric | None, Field(description="With type: Object.")] = None
    external: Annotated[
        PodsMetric | None, Field(description="With type: External: of no object of Kubernetes.")
    ] = None


class ScalingPolicy(Value):
    """How many replicas may come or go in a period."""

    type: Annotated[Literal["Pods", "Percent"], Field(description="What `value` counts.")]
    value: Annotated[int, Field(ge=1, le=10_000, description="So many replicas, or percent of them.")]
    period_seconds: Annotated[int, Field(ge=1, le=1800, description="The period, in seconds.")]


class ScalingRules(Value):
    """How fast replicas come, or go."""

    stabilization_window_seconds: Annotated[
        int | None,
        Field(ge=0, le=3600, description="How long back the most careful number counts, in seconds."),
    ] = None
    select_policy: Annotated[
        Literal["Max", "Min", "Disabled"] | None, Field(description="Which of the policies holds.")
    ] = None
    policies: Annotated[
        tuple[ScalingPolicy, ...], Field(max_length=8, description="None: as Kubernetes does by itself.")
    ] = ()


class Behavior(Value):
    """How fast replicas come and go."""

    scale_up: Annotated[ScalingRules | None, Field(description="When the load grows.")] = None
    scale_down: Annotated[ScalingRules | None, Field(description="When it falls.")] = None


class Autoscaling(Value):
    """Between which numbers, and by what, the replicas follow the load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.minReplicas <= self.maxReplicas",
                "spec.autoscaling.minReplicas must not be more than maxReplicas",
            ),
        )
    )

    min_replicas: Annotated[int, Field(ge=1, le=100, description="Never fewer replicas than these.")] = 3
    max_replicas: Annotated[int, Field(ge=1, le=100, description="Never more replicas than these.")]
    target_cpu_utilization_percentage: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            alias="targetCPUUtilizationPercentage",
            description="Percent of spec.resources.requests.cpu that a replica uses on average.",
        ),
    ] = 80
    metrics: Annotated[
        tuple[MetricSource, ...],
        Field(
            max_length=8,
            description="Further metrics, as those of a HorizontalPodAutoscaler (autoscaling/v2).",
        ),
    ] = ()
    behavior: Annotated[
        Behavior | None,
        Field(description="How fast replicas come and go; None: as Kubernetes does by itself."),
    ] = None

    def clamp(self, replicas: int) -> int:
        """The nearest number that is allowed."""
        return max(self.min_replicas, min(replicas, self.max_replicas))
