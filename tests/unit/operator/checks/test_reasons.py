"""Every reason that a condition can have is explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import registry_operator
from registry_operator import errors
from registry_operator.checks import refusals
from registry_operator.claims import Outcome
from registry_operator.observed import HALTED, Turn
from registry_operator.reconcile import repairs

from registry_runtime.contract.state import SelfCheckReason, StorageReason
from tests.unit.operator.documented import reasons

CHECKS = Path(registry_operator.__file__).parent / "checks"
SAYING = {"yes", "no", "unknown", "Finding"}


def written() -> Iterator[str]:
    """Reasons that stand in the source as words."""
    for file in CHECKS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYING:
                for argument in node.args[1:3]:
                    yield from words(argument)


def words(argument: ast.expr) -> Iterator[str]:
    """A word, or the two that an `if` chooses from."""
    if isinstance(argument, ast.IfExp):
        yield from words(argument.body)
        yield from words(argument.orelse)
    elif isinstance(argument, ast.Constant) and re.fullmatch(r"[A-Z][A-Za-z]+", str(argument.value)):
        yield str(argument.value)


def test_every_reason_is_explained_with_its_remedy() -> None:
    """docs/conditions.md has a line for each, and explains none that does not exist."""
    fails = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, errors.OperatorError) and not one.__subclasses__()
    }
    said = {*written(), *Outcome, *StorageReason, *SelfCheckReason, *fails, *refusals.EVENTS.values()}
    said |= {Turn().reason, HALTED, repairs.REPAIRED, repairs.CONTESTED}
    said -= {"True", "False", "Unknown", "Ready"}
    assert len(said) > 40
    explained = reasons()
    of_kubernetes = {"ImagePullBackOff", "ErrImagePull", "CrashLoopBackOff", "Unschedulable"}
    assert said - explained == set()
    assert explained - said - of_kubernetes - {"Ready", "Reconciling", "Stalled"} == set()
