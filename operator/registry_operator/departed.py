"""At which version what is gone went: what an answer from before that says of it is late."""

from collections import OrderedDict

from registry_operator.models import Place, is_older

KEPT = 1024  # the latest; an answer comes within seconds, or never


class Departed:
    """Objects that the operator writes, and that others delete meanwhile."""

    def __init__(self) -> None:
        self._versions: OrderedDict[Place, str] = OrderedDict()

    def see(self, place: Place, version: str) -> None:
        """It was gone at this version: of its deletion, or of a list without it; "": nobody knows."""
        if version:
            self._versions[place] = version
            self._versions.move_to_end(place)
            while len(self._versions) > KEPT:
                self._versions.popitem(last=False)

    def is_late(self, place: Place, version: str, known: str) -> bool:
        """Whether it went, or was written anew, since it had this version. `known`: what it has now."""
        return is_older(version, known) or is_older(version, self._versions.get(place, ""))
