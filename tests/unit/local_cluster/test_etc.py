"""The /etc of a machine, and the names that are written into it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from local_cluster.errors import BadRequest
from local_cluster.etc import base_files, checked_registry, holds, hosts_file, write
from local_cluster.layout import Layout

LAYOUT = Layout("one")


def test_hosts_has_the_machines_and_what_was_added() -> None:
    """In lines that a resolver reads."""
    lines = hosts_file(LAYOUT, {"registry.example.test": "10.96.0.7"}).decode().splitlines()

    assert "10.89.0.12 one-zone-b" in lines
    assert lines[-1] == "10.96.0.7 registry.example.test"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a b", "10.0.0.1"),
        ("a\n10.0.0.2 b", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("a", "10.0.0.1 b"),
        ("a", "::1"),
        ("-a", "10.0.0.1"),
    ],
)
def test_what_is_no_name_or_address_is_refused(name: str, address: str) -> None:
    """A line of its own could be smuggled in otherwise."""
    with pytest.raises(BadRequest):
        hosts_file(LAYOUT, {name: address})


@pytest.mark.parametrize("host", ["../x", "a/b", "a:b", "", "A.example", "a:123456"])
def test_a_registry_that_is_no_host_is_refused(host: str) -> None:
    """It becomes a directory's name."""
    with pytest.raises(BadRequest, match="registry"):
        checked_registry(host)


def test_a_registry_may_have_a_port() -> None:
    """As in an image's name."""
    assert checked_registry("registry.example:5000") == "registry.example:5000"


def test_only_nodes_ask_the_dns() -> None:
    """The control plane has none: a lookup there fails at once, instead of waiting for nobody."""
    assert base_files(LAYOUT.nodes[0])["resolv.conf"] == b"search cluster.local\nnameserver 169.254.20.10\n"
    assert base_files(LAYOUT.control_plane)["resolv.conf"] == b""


def test_each_machine_is_another_one() -> None:
    """By its id of 32 hex digits (machine-id(5)), which the kubelet shows, and which stays."""
    ids = {base_files(machine)["machine-id"] for machine in LAYOUT.machines}

    assert len(ids) == 4
    assert all(re.fullmatch(rb"[0-9a-f]{32}\n", each) for each in ids)


def test_keys_are_readable_by_root_alone(tmp_path: Path) -> None:
    """What is written again replaces the file; no half of it is ever seen, and nothing else is left."""
    write(tmp_path, {"pki/a.key": b"old", "pki/a.crt": b"c", "x.kubeconfig": b"k"})
    write(tmp_path, {"pki/a.key": b"new"})

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*") if file.is_file()}
    assert modes == {"a.key": 0o600, "x.kubeconfig": 0o600, "a.crt": 0o644}
    assert (tmp_path / "pki" / "a.key").read_bytes() == b"new"


def test_what_is_written_is_held(tmp_path: Path) -> None:
    """A missing file and another content are news."""
    files = {"a/b": b"1", "c": b"2"}
    write(tmp_path, files)

    assert holds(tmp_path, files)
    assert not holds(tmp_path, {"c": b"3"})
    assert not holds(tmp_path, {**files, "d": b""})
