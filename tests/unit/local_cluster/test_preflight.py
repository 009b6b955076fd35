"""What a host must have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local_cluster.errors import HostUnfit
from local_cluster.preflight import PROGRAMS, check


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every program, and the rights of root."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in PROGRAMS:
        (tmp_path / name).touch(mode=0o755)
    return tmp_path


def test_a_host_that_has_all_passes(tools: Path) -> None:
    """With the parts in somebody's home."""
    check(Path("/home/someone/.cache/roadstead"), str(tools))


def test_missing_programs_are_named_with_their_packages(tools: Path) -> None:
    """All at once, each package once."""
    for name in ("nft", "ip", "bridge"):
        (tools / name).unlink()

    with pytest.raises(HostUnfit, match="bridge, ip, nft not found: run `apt-get install iproute2 nftables`"):
        check(Path("/cache"), str(tools))


def test_only_root_can(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in the first sentence, not by the kernel in the middle."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(HostUnfit, match="root"):
        check(Path("/cache"), str(tools))


@pytest.mark.parametrize("cache", ["/var/lib/jenkins/cache", "/run/cache", "/etc"])
def test_parts_that_machines_cannot_see_are_refused(tools: Path, cache: str) -> None:
    """They would be hidden by the machine's own directories."""
    with pytest.raises(HostUnfit, match="ROADSTEAD_CACHE"):
        check(Path(cache), str(tools))
