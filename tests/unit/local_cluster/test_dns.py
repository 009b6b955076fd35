"""The configuration of CoreDNS, and the one query that readiness is judged by."""

from __future__ import annotations

import struct

from local_cluster.dns import answered, corefile, question

NUMBER = 4711


def reply(*, flags: int = 0x8180, answers: int = 1, number: int = NUMBER) -> bytes:
    return struct.pack(">6H", number, flags, 1, answers, 0, 0)


def test_a_question_asks_for_the_address_of_a_name() -> None:
    """One question, recursion desired, type A, class IN, the name as labels."""
    packet = question("kubernetes.default", NUMBER)

    assert packet[:12] == struct.pack(">6H", NUMBER, 0x0100, 1, 0, 0, 0)
    assert packet[12:] == b"\x0akubernetes\x07default\x00" + b"\x00\x01\x00\x01"


def test_only_an_answer_to_the_question_counts() -> None:
    """Errors, empty answers, other numbers, queries and fragments do not."""
    assert answered(reply(), NUMBER)
    assert not answered(reply(flags=0x8183), NUMBER), "NXDOMAIN"
    assert not answered(reply(flags=0x8182), NUMBER), "SERVFAIL"
    assert not answered(reply(answers=0), NUMBER)
    assert not answered(reply(number=1), NUMBER)
    assert not answered(question("kubernetes.default", NUMBER), NUMBER)
    assert not answered(reply()[:5], NUMBER)


def test_the_configuration_is_bound_to_the_nodes_own_address() -> None:
    """Each block is; on 0.0.0.0 it would answer for pods of other nodes too."""
    text = corefile().decode()

    assert text.count(":53 {") + text.count(":5353 {") == text.count("bind ") == 3
    assert "bind 169.254.20.10" in text
    assert text.count("{") == text.count("}")
