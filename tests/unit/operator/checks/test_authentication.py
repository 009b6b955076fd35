"""Whether the replicas may have tokens reviewed, and reach the issuers of ID tokens."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from registry_operator.checks.authentication import ISSUERS, REVIEWS
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


def said(seen: RegistryObserved, kind: str = REVIEWS) -> tuple[str, str, str]:
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

    assert REVIEWS not in {one.type for one in status.conditions}


OIDC = [
    {"name": name, "issuer": f"https://{name}.test", "audience": "registry"} for name in ("people", "builds")
]
FEDERATED = registry(authentication={"oidc": OIDC})
GOOD: dict[str, str | None] = {"people": None, "builds": None}


def issuing(*told: dict[str, str | None]) -> RegistryObserved:
    """A Registry whose replicas say this of the issuers."""
    seen = running(observed(FEDERATED))[0]
    states = {
        pod: state.model_copy(update={"issuers": one})
        for (pod, state), one in zip(sorted(seen.replicas.items()), told, strict=True)
        if state is not None
    }
    return replace(seen, replicas=states)


def test_an_issuer_that_is_away_is_said_and_the_registry_stays_ready() -> None:
    """Which one, to whom, and why: passwords work, and so do the keys that are known."""
    problem = "ConnectionError: certificate verify failed: self-signed certificate"
    seen = issuing(GOOD, {**GOOD, "builds": problem}, GOOD)

    status, reason, message = said(seen, ISSUERS)
    assert (status, reason) == ("False", "IssuerAway")
    assert message.startswith(f"builds (https://builds.test) does not say its keys to harbour-1: {problem}; ")
    assert said(seen, "Ready")[0] == "True"


def test_a_long_story_of_an_issuer_is_cut() -> None:
    """What it answers with is not ours: the message stays one that can be read."""
    assert len(said(issuing(GOOD, GOOD, {"people": "x" * 10_000}), ISSUERS)[2]) < 700


def test_an_issuer_is_known_when_a_replica_has_its_keys() -> None:
    """One that has just been declared is not, and a restart of the operator takes nothing back."""
    assert said(issuing(GOOD, {}, {}), ISSUERS)[:2] == ("True", "KeysKnown")
    assert said(issuing({"people": None}, {}, {}), ISSUERS)[:2] == ("Unknown", "NotReported")
    good = issuing(GOOD, GOOD, GOOD)
    status = judge(good, render(good, SETTINGS), SETTINGS)
    restarted = replace(good, registry=replace(good.registry, status=status), replicas={})
    assert said(restarted, ISSUERS)[:2] == ("True", "KeysKnown")


def test_without_issuers_there_is_no_condition() -> None:
    """Nobody is asked for what is not needed."""
    seen, rendered = running(observed(registry()))
    assert ISSUERS not in {one.type for one in judge(seen, rendered, SETTINGS).conditions}
