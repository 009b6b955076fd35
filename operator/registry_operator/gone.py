"""Children that went and that the operator itself did not delete: where one is wanted, it is drift."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from registry_operator.models import Place
from registry_operator.observed import KubernetesNamespace


@dataclass
class Gone:
    """By what was there, its owners and the UID of its Kubernetes namespace."""

    _left: dict[Place, tuple[tuple[str, ...], str]] = field(default_factory=dict)

    def see(self, place: Place, owners: Iterable[str], account: KubernetesNamespace | None) -> None:
        """It went. What goes with its Kubernetes namespace is nobody's doing."""
        if account is not None and not account.terminating:
            self._left[place] = tuple(owners), account.uid

    def forget(self, place: Place) -> None:
        """It is there again, or is to be gone."""
        self._left.pop(place, None)

    def misses(self, place: Place, owner: str, accounts: Mapping[str, KubernetesNamespace]) -> bool:
        """Whether it went from this owner; in a Kubernetes namespace made anew nothing is missing."""
        owners, account = self._left.get(place, ((), ""))
        there = accounts.get(place[1].namespace)
        return owner in owners and there is not None and there.uid == account

    def keep(self, owners: set[str]) -> None:
        """Of other owners nothing will be wanted again."""
        self._left = {place: left for place, left in self._left.items() if not owners.isdisjoint(left[0])}
