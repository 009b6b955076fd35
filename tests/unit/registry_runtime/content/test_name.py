"""Names of repositories, tags and references, to the letter of the specification."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.content.reference import parse_reference
from registry_runtime.errors import DigestInvalid, NameInvalid, TagInvalid
from registry_runtime.storage import paths

# As the specification prints them.
NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
LIKE_NAMES = st.text("ab0._-/A \n", max_size=24)
WORDS = st.text("ab0", min_size=1, max_size=3)
COMPONENTS = st.builds(
    lambda words, separator: separator.join(words),
    st.lists(WORDS, min_size=1, max_size=3),
    st.sampled_from([".", "_", "__", "-", "--"]),
)
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)


@given(st.text() | LIKE_NAMES | NAMES)
def test_names_are_those_of_the_specification(text: str) -> None:
    """Accepted exactly when the printed grammar matches and the length is right."""
    good = NAME.fullmatch(text) is not None and len(text) <= 255
    try:
        assert RepositoryName.parse(text).text == text
        assert good
    except NameInvalid:
        assert not good


@given(st.text() | st.text("aZ0._-: \n", max_size=140))
def test_tags_are_those_of_the_specification(text: str) -> None:
    """Accepted exactly when the printed grammar matches."""
    good = TAG.fullmatch(text) is not None
    try:
        assert Tag.parse(text).text == text
        assert good
    except TagInvalid:
        assert not good


@given(st.text())
def test_any_text_is_a_reference_or_invalid(text: str) -> None:
    """A colon decides; no other error comes out."""
    try:
        reference = parse_reference(text)
    except (DigestInvalid, TagInvalid):
        return
    assert str(reference) == text
    assert isinstance(reference, Digest) == (":" in text)


@pytest.mark.parametrize(
    "text", ["a" * 256, "a/" * 127 + "aa", "", "/a", "a/", "a//b", "a___b", "A", "_a", "a_"]
)
def test_what_is_no_name(text: str) -> None:
    """Too long, empty components, and separators where none may be."""
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


def test_a_long_name_takes_no_long_time() -> None:
    """The grammar has no case in which matching takes more than a look at each character."""
    with pytest.raises(NameInvalid):
        RepositoryName.parse("a-" * 127)
    with pytest.raises(NameInvalid):
        RepositoryName.parse("a" * 10_000_000)


def test_a_namespace_is_the_first_component() -> None:
    """With one component the name is its own namespace."""
    assert RepositoryName.parse("team/app/web").namespace == "team"
    assert RepositoryName.parse("team").namespace == "team"


@given(NAMES, NAMES)
def test_escaped_names_are_one_component_in_the_order_of_components(one: str, two: str) -> None:
    """No slash, no longer than the name, back again, and sorted as the components are."""
    first, second = paths.escape(one), paths.escape(two)
    assert "/" not in first
    assert len(first) == len(one)
    assert paths.unescape(first) == one
    assert (first < second) == (one.split("/") < two.split("/"))
