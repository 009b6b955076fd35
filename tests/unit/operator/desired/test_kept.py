"""What is made again, and what is not."""

from __future__ import annotations

from registry_operator.desired.kept import Kept


def test_only_what_has_other_parts_is_made_again() -> None:
    """Parts that are equal count as the same; what is asked for no longer is forgotten."""
    made = []

    def joined(name: str, parts: tuple[str, ...]) -> str:
        made.append(name)
        return "".join(parts)

    kept = Kept(joined)
    assert kept.all({"a": ("1", "2"), "b": ("3",)}) == {"a": "12", "b": "3"}
    assert kept.all({"b": tuple("3"), "a": ("1", "2")}) == {"b": "3", "a": "12"}
    assert made == ["a", "b"]
    assert kept.all({"b": ("4",)}) == {"b": "4"}
    assert kept.all({"a": ("1", "2"), "b": ("4",)}) == {"a": "12", "b": "4"}
    assert made == ["a", "b", "b", "a"]


def test_an_equal_value_stays_the_same_object() -> None:
    """Whoever is made of it sees at once that it is what it was."""
    kept: Kept[str, tuple[int, int], list[int]] = Kept(lambda _, parts: [sum(parts)])
    first = kept.all({"a": (1, 2), "b": (1, 1)})
    again = kept.all({"a": (2, 1), "b": (2, 2)})
    assert again == {"a": [3], "b": [4]}
    assert again["a"] is first["a"]
