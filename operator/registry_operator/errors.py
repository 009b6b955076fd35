"""The operator's errors; `checks.failure` alone turns them into conditions.

OperatorError
├── InvalidResource     a stored resource that the models cannot read: an older CRD, or edited by hand
├── RenderFailed        a template and its values do not fit: a fault of Roadstead itself
└── ClusterError        the API server did not do what was asked
    ├── NotFound        there is no such object
    ├── NotPermitted    403: a right is missing; the condition has the command that grants it
    ├── QuotaExceeded   403: a ResourceQuota of the Kubernetes namespace has no room for this object
    ├── AdmissionDenied 403: an admission plugin, policy or webhook of the cluster does not let it in
    ├── NamespaceTerminating  403: the Kubernetes namespace goes away, nothing new is let in
    ├── NameConflict    an object of this name is there and is not ours
    ├── WriteConflict   409: it changed since it was read; worth a retry at once
    ├── Refused         400 or 422: the API server will not take this object as it is
    └── Unavailable     no answer, 429 or 5xx: worth a retry later
"""

from __future__ import annotations


class OperatorError(Exception):
    """`message` is a sentence for people; it never holds a secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidResource(OperatorError):
    """`place` is "<Kind> <namespace>/<name>"."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self._parts = place, message

    def with_remedy(self, remedy: str) -> InvalidResource:
        """The same, and what to do about it."""
        place, message = self._parts
        return InvalidResource(place, f"{message}; {remedy}")


class RenderFailed(OperatorError):
    pass


class ClusterError(OperatorError):
    """`place` is what was asked for, such as "Secret shop/deployer-pull"."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class NotFound(ClusterError):
    pass


class NotPermitted(ClusterError):
    """`namespace` is the Kubernetes namespace that has to opt in; "" for a right of the installation."""

    def __init__(self, message: str, place: str = "", namespace: str = "") -> None:
        super().__init__(message, place)
        self.namespace = namespace


class QuotaExceeded(ClusterError):
    pass


class AdmissionDenied(ClusterError):
    pass


class NamespaceTerminating(ClusterError):
    pass


class NameConflict(ClusterError):
    pass


class WriteConflict(ClusterError):
    pass


class Refused(ClusterError):
    pass


class Unavailable(ClusterError):
    """`retry_after` is how many seconds the API server wants to be left alone; 0 where it said nothing."""

    def __init__(self, message: str, place: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, place)
        self.retry_after = retry_after
