"""The command line, and the page that describes it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from local_cluster.__main__ import parser, run
from local_cluster.cluster import Cluster
from local_cluster.parts import Parts

PAGE = Path(__file__).parents[3] / "docs" / "local-cluster.md"


def verbs() -> set[str]:
    (subparsers,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    return set(subparsers.choices)


def test_the_page_describes_every_verb_and_no_other() -> None:
    """In its table, whose first column begins with them."""
    column = "\n".join(line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `"))

    assert {words.split()[0] for words in re.findall(r"`([^`]+)`", column)} == verbs()


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["up"], ("up",)),
        (["cut", "zone-a"], ("cut", "zone-a")),
        (["boot", "zone-a"], ("boot", "zone-a")),
        (["stop-apiserver"], ("stop_apiserver",)),
        (["restart-control-plane"], ("restart_control_plane",)),
        (["load", "a.tar", "b.tar"], ("load", [Path("a.tar"), Path("b.tar")])),
        (["forward", "127.0.0.1:0", "web.shop:80"], ("forward", "127.0.0.1:0", "web.shop:80")),
        (["hosts", "a=10.0.0.1", "b=10.0.0.2"], ("write_host_entries", {"a": "10.0.0.1", "b": "10.0.0.2"})),
        (
            ["keyless", "a.example", "a.example", "b:5000"],
            ("pull_keyless", "a.example", ["a.example", "b:5000"]),
        ),
        (["exec", "zone-a", "--", "ls", "-l"], ("become", "zone-a", ["ls", "-l"])),
    ],
)
def test_a_verb_calls_its_method(
    words: list[str], call: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its words as values; exec takes a program's own options."""
    called: list[tuple[object, ...]] = []
    name = str(call[0])
    monkeypatch.setattr(Cluster, name, lambda _self, *values: called.append((name, *values)))

    run(Cluster("one", Parts(Path("/cache"))), parser().parse_args(words))

    assert called == [call]


def test_a_name_without_an_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """By argparse, with the usage."""
    with pytest.raises(SystemExit):
        parser().parse_args(["hosts", "registry.example"])

    assert "is not NAME=ADDRESS" in capsys.readouterr().err
