"""How long a policy takes to every replica."""

from __future__ import annotations

from registry_operator.models import Key
from registry_operator.propagations import Propagations

HARBOUR = Key("harbour", "harbour")


def test_each_replica_that_follows_is_timed() -> None:
    """From the write to the word of each; a new pod and what was said before tell nothing of it."""
    took: list[float] = []
    now = 100.0
    spread = Propagations(took.append, lambda: now)
    spread.write(HARBOUR, "one")
    spread.hear(HARBOUR, "a", "one")
    spread.hear(HARBOUR, "b", "one")
    assert took == []
    spread.write(HARBOUR, "two")
    now = 100.25
    spread.write(HARBOUR, "two")
    spread.hear(HARBOUR, "a", "two")
    spread.hear(HARBOUR, "a", "two")
    now = 100.5
    spread.hear(HARBOUR, "b", "two")
    spread.hear(HARBOUR, "young", "two")
    assert took == [0.25, 0.5]


def test_who_is_gone_is_forgotten() -> None:
    """A pod of the same name, and a Registry that was made again, begin anew."""
    took: list[float] = []
    spread = Propagations(took.append)
    spread.write(HARBOUR, "one")
    spread.hear(HARBOUR, "a", "old")
    spread.forget_pod(HARBOUR, "a")
    spread.hear(HARBOUR, "a", "one")
    spread.forget(HARBOUR)
    spread.hear(HARBOUR, "a", "old")
    spread.hear(HARBOUR, "a", "one")
    assert took == []
