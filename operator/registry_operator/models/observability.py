"""What a Registry tells of itself, beside its metrics, which are always there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry_operator.models.base import Value

_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# No user and no query, where a password could stand: it is written into a ConfigMap.
OTLP = rf"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:{_PORT})?(/[A-Za-z0-9._~/-]*)?$"


class Tracing(Value):
    """Spans of requests, as OpenTelemetry has them; named as in Kubernetes' own TracingConfiguration."""

    endpoint: Annotated[
        str,
        Field(
            min_length=8,
            max_length=512,
            pattern=OTLP,
            description=(
                "URL of a collector that takes OTLP over HTTP, as http://collector.tracing.svc:4318; "
                "/v1/traces is added."
            ),
        ),
    ]
    sampling_rate_per_million: Annotated[
        int, Field(ge=0, le=1_000_000, description="Of a million requests so many are traced.")
    ] = 10_000


class Observability(Value):
    """What is told of the requests."""

    tracing: Annotated[Tracing | None, Field(description="Where traces go. None: there are none.")] = None
