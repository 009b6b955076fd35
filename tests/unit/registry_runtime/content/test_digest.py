"""Digests: what is one, and what is none."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_runtime.content.digest import Digest
from registry_runtime.errors import DigestInvalid


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_is_hashlib_s_and_reads_back(content: bytes, algorithm: str) -> None:
    """What `of` makes, `parse` reads, and text stays text."""
    digest = Digest.of(content, algorithm)
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    assert Digest.parse(str(digest)) == digest


@given(st.text() | st.from_regex(r"(sha256|sha512|md5|SHA256)[:+][0-9a-fA-F]{30,130}\n?"))
def test_any_text_is_a_digest_or_invalid(text: str) -> None:
    """No other error, and what is accepted is canonical."""
    try:
        digest = Digest.parse(text)
    except DigestInvalid:
        return
    assert str(digest) == text
    assert len(digest.hex) == {"sha256": 64, "sha512": 128}[digest.algorithm]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha256:" + "0" * 64 + "\n",
        "sha256:" + "٣" * 64,
        "sha512:" + "0" * 64,
        "md5:" + "0" * 32,
        "../" + "0" * 64,
    ],
)
def test_what_is_no_digest(text: str) -> None:
    """Wrong length, case, algorithm, or characters that only look right."""
    with pytest.raises(DigestInvalid) as refused:
        Digest.parse(text)
    assert "sha256" in refused.value.message
