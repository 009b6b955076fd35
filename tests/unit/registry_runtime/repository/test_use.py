"""One use of a token, step by step: what a push may do with it, and what time alone makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_runtime.repository.use import LAPSE, MOST_CHILDREN, WINDOW, Image, Phase, Use, chosen

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LATER = timedelta(seconds=1)
FREE = Use.free(NOW)
CHILD, OTHER, ROOT = (Image("team/app", None, digest) for digest in ("sha256:1", "sha256:2", "sha256:3"))
TAGGED = replace(ROOT, tag="v1")
ELSEWHERE = replace(CHILD, repository="team/other")

OPENED = FREE.serve(CHILD, NOW, "")
KEPT = replace(OPENED, kept=True)
SIGNATURE = replace(OTHER, about=CHILD.digest)
CLAIMED = KEPT.serve(TAGGED, NOW, "claim")


def test_children_and_their_tag_are_one_use() -> None:
    """Two digests, then the tag of their index: one use, which knows what belongs to it."""
    done = KEPT.serve(OTHER, NOW, "").serve(TAGGED, NOW, "claim").done()
    children = [child.digest for child in done.children]
    assert (done.phase, done.image, children) == (Phase.DONE, TAGGED, [CHILD.digest, OTHER.digest])
    assert done.is_taken


@pytest.mark.parametrize(
    ("use", "image", "serves"),
    [
        (FREE, CHILD, True),
        (FREE, TAGGED, True),
        (KEPT, OTHER, True),
        (KEPT, TAGGED, True),
        (KEPT, ELSEWHERE, False),
        (KEPT, replace(TAGGED, repository="team/other"), False),
        (KEPT, SIGNATURE, True),
        (KEPT, replace(SIGNATURE, about="sha256:5"), False),
        (FREE, SIGNATURE, True),
        (CLAIMED, TAGGED, True),
        (CLAIMED, replace(TAGGED, tag="v2"), False),
        (CLAIMED, replace(TAGGED, digest="sha256:4"), False),
        (CLAIMED, OTHER, False),
        (CLAIMED.done(), TAGGED, False),
        (CLAIMED.done(), CHILD, False),
    ],
)
def test_whom_a_use_serves(use: Use, image: Image, serves: bool) -> None:
    """Free everybody, open its own repository, claimed the same push once more, done nobody."""
    assert use.serves(image) is serves


def test_an_image_has_so_many_children() -> None:
    """One more is refused; one that belongs to it already is not, and the tag is not."""
    full = KEPT
    for number in range(MOST_CHILDREN - 1):
        full = full.serve(replace(CHILD, digest=f"sha256:c{number}"), NOW, "")
    assert len(full.children) == MOST_CHILDREN
    assert not full.serves(OTHER)
    assert full.serves(CHILD)
    assert full.serves(TAGGED)


@pytest.mark.parametrize(
    ("use", "after", "phase"),
    [
        (OPENED, LAPSE - LATER, Phase.OPEN),
        (OPENED, LAPSE, Phase.FREE),
        (KEPT, WINDOW - LATER, Phase.OPEN),
        (KEPT, WINDOW, Phase.DONE),
        (CLAIMED, 10 * WINDOW, Phase.CLAIMED),
        (CLAIMED.done(), 10 * WINDOW, Phase.DONE),
    ],
)
def test_what_time_makes_of_it(use: Use, after: timedelta, phase: Phase) -> None:
    """What nobody acknowledged is free again; what was, is the image without a tag when its hour is over."""
    assert use.aged(NOW + after).phase is phase


def test_without_a_tag_the_last_digest_is_the_image() -> None:
    """As an index that is pushed by digest behind its children."""
    over = KEPT.serve(OTHER, NOW, "").aged(NOW + WINDOW)
    assert (over.phase, over.image) == (Phase.DONE, OTHER)


def test_a_signature_of_what_was_there_before() -> None:
    """It is an image of its own, at once; one of a child of this image is a child as well."""
    alone = FREE.serve(SIGNATURE, NOW, "claim")
    assert (alone.phase, alone.done().image, alone.children) == (Phase.CLAIMED, SIGNATURE, ())
    assert alone.given_up() == FREE
    assert KEPT.serve(SIGNATURE, NOW, "").phase is Phase.OPEN


def test_a_claim_that_is_given_up() -> None:
    """Its children wait for another tag; without children nothing is left of it."""
    assert not CLAIMED.lapsed(NOW + LAPSE - LATER)
    assert CLAIMED.lapsed(NOW + LAPSE)
    assert CLAIMED.given_up() == KEPT
    assert FREE.serve(TAGGED, NOW, "claim").given_up() == FREE


def test_a_refused_child_leaves_nothing() -> None:
    """Alone it frees the use; beside others it goes; what was acknowledged holds the use in any case."""
    assert OPENED.without(CHILD.digest) == FREE
    assert OPENED.serve(OTHER, NOW, "").without(OTHER.digest) == OPENED
    assert KEPT.without(CHILD.digest) == KEPT


def test_which_use_a_push_takes() -> None:
    """Its own claim, then one that is open in its repository, then a free one, then none."""
    uses = [CLAIMED.done(), FREE, KEPT, CLAIMED]
    assert chosen(uses, TAGGED) == 3
    assert chosen(uses[:3], TAGGED) == 2
    assert chosen(uses[:3], ELSEWHERE) == 1
    assert chosen(uses[:1], TAGGED) is None


@pytest.mark.parametrize(
    "use", [FREE, OPENED, KEPT, CLAIMED, CLAIMED.done(), FREE.serve(SIGNATURE, NOW, "c")]
)
def test_records(use: Use) -> None:
    """What is written is what is read."""
    assert Use.decode(use.encode()) == use
