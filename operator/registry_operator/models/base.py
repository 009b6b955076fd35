"""What the three kinds share: metadata, conditions, selectors, and how CEL rules are declared."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.dataclasses import dataclass as dataclass_of_pydantic

from registry_operator.errors import InvalidResource
from registry_runtime.contract.config import Frugal

GROUP = "roadstead.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_NAME = rf"^{LABEL}(\.{LABEL})*$"
HOST_NAME = rf"^{LABEL}(\.{LABEL})+$"  # at least one dot: docker reads "name/…" as a path on Docker Hub

LONGEST_NAME = 253  # characters of the name of an object
ObjectName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=DNS_NAME)]
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^{LABEL}$")]
HostName = Annotated[str, Field(min_length=3, max_length=245, pattern=HOST_NAME)]

DURATION = r"^[1-9][0-9]{0,5}(s|m|h|d)$"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> int:
    """Of a `DURATION`: a number and s, m, h or d."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def rules(*pairs: tuple[str, str]) -> JsonDict:
    """CEL rules of the API server, each with the sentence that a user reads when it fails."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


Subnet = Annotated[
    str,
    Field(
        max_length=49,
        pattern=r"^[0-9a-fA-F:.]+/[0-9]{1,3}$",
        json_schema_extra=rules(("isCIDR(self)", "a subnet is written as 10.0.0.0/8 or fd00::/8")),
    ),
]


@lru_cache(1 << 12)  # the conditions of a status mostly changed in the same second
def parse_time(text: str) -> datetime:
    """A time of the Kubernetes API (RFC 3339). Raises ValueError."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        raise ValueError("is, in UTC, before the year 1 or after the year 9999") from None


def _as_time(value: Any) -> Any:
    return parse_time(value) if isinstance(value, str) else value


def format_time(value: datetime) -> str:
    """As the Kubernetes API writes times: UTC, whole seconds."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


Time = Annotated[
    datetime,
    BeforeValidator(_as_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


SHARED = AfterValidator(sys.intern)  # equal texts are one in memory


@lru_cache(1 << 10)
def _known(value: Hashable) -> Hashable:
    return value


ALIKE = AfterValidator(_known)  # equal values are one, where they are read one soon after the other


class Value(Frugal):
    """A part of a spec or status. The API server prunes unknown fields, so they are ignored here."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


# Ten thousand AccessTokens have seventy thousand conditions: with slots, and equal texts shared, 70 MiB less.
@dataclass_of_pydantic(
    frozen=True, slots=True, kw_only=True, config=ConfigDict(alias_generator=to_camel, populate_by_name=True)
)
class Condition:
    """A condition, as metav1.Condition."""

    type: Annotated[str, Field(max_length=316, description="CamelCase name of the condition."), SHARED]
    status: Annotated[
        Literal["True", "False", "Unknown"], Field(description="Whether it holds: True, False or Unknown.")
    ]
    observed_generation: Annotated[
        int, Field(ge=0, description="The generation of the resource that this speaks of.")
    ] = 0
    last_transition_time: Annotated[Time, Field(description="When `status` last changed.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="CamelCase word that says why; docs/conditions.md lists each with its remedy.",
        ),
        SHARED,
    ]
    message: Annotated[str, Field(max_length=32768, description="A sentence for people."), SHARED] = ""


class OwnStatus(Value):
    """What every kind's status has. `observedGeneration: -1` until the operator has seen the resource."""

    observed_generation: Annotated[
        int, Field(description="The generation that this status speaks of; -1 before the first look.")
    ] = -1
    conditions: Annotated[
        tuple[Annotated[Condition, ALIKE], ...],
        Field(
            description="What is known, one condition a type.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()

    def condition(self, kind: str) -> Condition | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def document(self) -> dict[str, Any]:
        """As it is written to the API: aliases, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Requirement(Value):
    """One line of a label selector."""

    key: Annotated[str, Field(max_length=317, description="The label's key.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"], Field(description="How values are compared.")
    ]
    values: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],
        Field(max_length=64, description="Values for In and NotIn; empty for the others."),
    ] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """As Kubernetes matches: NotIn holds for an object without the label, too."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class Selector(Value):
    """A label selector, as metav1.LabelSelector: all lines must match, an empty one matches all."""

    match_labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default={}, max_length=64, description="Labels that must be there with these values."
    )
    match_expressions: Annotated[
        tuple[Requirement, ...], Field(max_length=64, description="Further lines; all must match.")
    ] = ()

    def __hash__(self) -> int:
        return hash((frozenset(self.match_labels.items()), self.match_expressions))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            line.matches(labels) for line in self.match_expressions
        )


def is_older(version: str, other: str) -> bool:
    """Of two resource versions, which are growing numbers (KEP-5504); what is no number is not older."""
    return version.isdigit() and other.isdigit() and int(version) < int(other)


class Key(NamedTuple):
    """Where a namespaced object is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Place = tuple[str, Key]  # kind and name of an object that the operator writes


@dataclass(frozen=True, slots=True)
class Meta:
    """The part of an object's metadata that decisions are made from."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime
    resource_version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)  # those of this group
    deleting: bool = False
    finalizers: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)

    @classmethod
    def parse(cls, metadata: Mapping[str, Any]) -> Self:
        """Of an object that the API server returned. Raises KeyError and ValueError."""
        return cls(
            name=metadata["name"],
            namespace=sys.intern(metadata["namespace"]),
            uid=sys.intern(metadata["uid"]),
            generation=metadata["generation"],
            created=parse_time(metadata["creationTimestamp"]),
            resource_version=metadata.get("resourceVersion", ""),
            annotations=_ours(metadata.get("annotations") or {}),
            deleting="deletionTimestamp" in metadata,
            finalizers=tuple(metadata.get("finalizers") or ()),
        )


def _ours(annotations: Mapping[str, str]) -> dict[str, str]:
    """What others note on a resource, such as all of it as it was last applied, is not worth its memory."""
    return {name: value for name, value in annotations.items() if GROUP in name}


S = TypeVar("S", bound=Value)
T = TypeVar("T", bound=OwnStatus)


@dataclass(frozen=True)
class Resource(Generic[S, T]):
    """A custom resource as read from the API server."""

    meta: Meta
    spec: S
    status: T

    KIND = ""

    @property
    def key(self) -> Key:
        return self.meta.key

    @classmethod
    def _parse(cls, obj: Mapping[str, Any], spec: type[S], status: type[T]) -> Self:
        metadata = obj.get("metadata") or {}
        place = f"{cls.KIND} {metadata.get('namespace')}/{metadata.get('name')}"
        try:
            return cls(
                Meta.parse(metadata),
                spec.model_validate(obj.get("spec") or {}),
                status.model_validate(obj.get("status") or {}),
            )
        except ValidationError as error:
            raise InvalidResource(place, _sentence(error)) from None
        except (KeyError, ValueError) as error:
            raise InvalidResource(place, f"metadata: {error!r}") from None
        except Exception as error:  # whatever one object says, it must not keep all others from being read
            raise InvalidResource(place, f"cannot be read ({type(error).__name__})") from error


def _sentence(error: ValidationError) -> str:
    """The faulty fields and what is wrong with them, without the values (they are not ours to print)."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
