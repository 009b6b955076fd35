"""Whether the replicas may have tokens reviewed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from registry_operator.checks.authentication import TYPE
from registry_operator.checks.registry import judge
from registry_operator.desired.registry import render
from registry_operator.observed import RegistryObserved

from tests.unit.operator.harbour import SETTINGS, observed, registry, running
from tests.unit.operator.kstatus import kstatus

ROOT = Path(__file__).parents[4]
DOCUMENTS = (ROOT / "manifests" / "token-review.yaml", ROOT / "docs" / "keyless.md")
REVIEWED = registry(authentication={"kubernetes": {"review": True}})


def told(*said: bool | None, of: RegistryObserved | None = None) -> RegistryObserved:
    """A Registry whose replicas say this."""
    seen = of or running(observed(REVIEWED))[0]
    states = {
        pod: state.model_copy(update={"reviews_tokens": one})
        for (pod, state), one in zip(sorted(seen.replicas.items()), said, strict=True)
        if state is not None
    }
    return replace(seen, replicas=states)


def said(seen: RegistryObserved, kind: str = TYPE) -> tuple[str, str, str]:
    status = judge(seen, render(seen, SETTINGS), SETTINGS)
    (found,) = [one for one in status.conditions if one.type == kind]
    return found.status, found.reason, found.message


def test_without_the_right_the_exact_command_is_said() -> None:
    """One replica that was refused is enough: they share the right. Ready says it too, and is Stalled."""
    refused = told(True, False, None)
    command = (
        "kubectl create clusterrolebinding roadstead-token-review:harbour:harbour "
        "--clusterrole=roadstead-token-review --serviceaccount=harbour:harbour"
    )

    assert said(refused)[:2] == ("False", "TokenReviewNotPermitted")
    assert said(refused)[2].endswith(f"run:\n{command}")
    assert said(refused, "Ready")[:2] == ("False", "TokenReviewNotPermitted")
    status = judge(refused, render(refused, SETTINGS), SETTINGS)
    assert kstatus(1, status.document()) == "Failed"
    for document in DOCUMENTS:
        text = re.sub(r" \\\n#? +", " ", document.read_text())
        assert command.replace("harbour:harbour", "NAMESPACE:REGISTRY") in text


def test_with_the_right_the_registry_is_ready() -> None:
    """As the replicas say it."""
    assert said(told(True, True, True))[:2] == ("True", "TokensReviewed")
    assert said(told(True, True, True), "Ready")[0] == "True"


def test_before_a_replica_has_said_anything_nothing_is_claimed() -> None:
    """Nor does a restart of the operator take back what was said of this generation."""
    assert said(told(None, None, None))[:2] == ("Unknown", "NotReported")
    assert said(told(None, None, None), "Ready")[0] == "False"
    good = told(True, True, True)
    status = judge(good, render(good, SETTINGS), SETTINGS)
    restarted = replace(good, registry=replace(good.registry, status=status), replicas={})
    assert said(restarted)[:2] == ("True", "TokensReviewed")


@pytest.mark.parametrize("authentication", [{}, {"kubernetes": {}}])
def test_where_no_token_is_reviewed_there_is_no_condition(authentication: dict[str, object]) -> None:
    """Nobody is asked for a right that is not needed."""
    seen, rendered = running(observed(registry(authentication=authentication)))
    status = judge(seen, rendered, SETTINGS)

    assert TYPE not in {one.type for one in status.conditions}
