"""Values of which there are many."""

from registry_runtime.contract.config import Frugal


class Crate(Frugal):
    weight: int
    label: str = ""


def test_what_was_said_is_not_remembered() -> None:
    """All values have one set for it, and a copy with other fields writes nothing into that."""
    heavy, light = Crate(weight=9, label="ore"), Crate.model_validate({"weight": 1})
    assert heavy.model_fields_set is light.model_fields_set
    changed = heavy.model_copy(update={"label": "coal"})
    assert (changed.weight, changed.label) == (9, "coal")
    assert light.model_fields_set == set()
    assert Crate(weight=9, label="ore") == heavy
