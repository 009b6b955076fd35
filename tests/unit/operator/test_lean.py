"""kopf without what nobody here needs of it."""

from registry_operator.lean import Forgetful


async def test_kopf_remembers_no_object() -> None:
    """It asks for the memory of each object again and again, and has a new one each time."""
    memories = Forgetful()
    body = {"metadata": {"uid": "one"}}
    first = await memories.recall(raw_body=body, noticed_by_listing=True)
    assert first.noticed_by_listing
    assert await memories.recall(raw_body=body) is not first
    assert list(memories.iter_all_memories()) == []
