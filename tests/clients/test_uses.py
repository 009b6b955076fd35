"""Tokens of one use, by the clients that push whole images: all of an index is one, whatever its order."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from registry_runtime.contract.credential import Password
from registry_runtime.contract.policy import Action, Uses
from tests.api.client import basic
from tests.api.replica import Replica, closed, token
from tests.clients.copier import Copier
from tests.clients.layout import Layout, attested
from tests.clients.workstation import Program

ACTIONS = frozenset({Action.PULL, Action.LIST, Action.PUSH})


@pytest.fixture
def once(replica: Replica, host: str, crane: Program) -> Password:
    """A new token of one use, with which all clients of the workstation are logged in."""
    password, policy = Password.generate(uuid.uuid4().hex[:16]), closed()
    policy.tokens[password.id] = token(password, "ours", "team/**", ACTIONS, uses=Uses(limit=1))
    replica.set_policy(policy)
    for _ in range(200):  # a login before the policy is in force is refused
        if replica.client(password).raw("GET", "/v2/", headers=basic(password.text)).status == 200:
            break
        time.sleep(0.05)
    crane("auth", "login", host, "--username=iamapikey", "--password-stdin", stdin=password.text)
    return password


@pytest.mark.usefixtures("once")
def test_an_index_with_all_that_it_names(copier: Copier, crane: Program, name: str, tmp_path: Path) -> None:
    """Two platforms and their attestations are pushed and pulled; no second image is, nor another tag."""
    layout = Layout(tmp_path / "layout")
    layout.name(attested(layout), "v1")
    copier.push(layout, f"{name}:v1")
    copier.push(layout, f"{name}:v1")
    assert layout.same(copier.pull(f"{name}:v1", tmp_path / "back"))
    assert "no use left" in crane.refused("tag", f"{name}:v1", "v2")
    other = Layout(tmp_path / "other")
    other.name(other.image(other.layer("file", b"of another image")), "v1")
    assert "no use left" in crane.refused("push", other.path, f"{name}:v2")
    assert crane("ls", name).splitlines() == ["v1"]
