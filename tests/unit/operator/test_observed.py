"""What reconciles see, as it is kept."""

import pytest
from registry_operator import observed
from registry_operator.observed import Propagation

from registry_runtime.contract.policy import Action, Claim, Grant, Policy, Token
from tests.unit.operator.harbour import NOW


def test_a_small_policy_is_kept_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read says the same of all that is declared; a large one stays as it is: it is read often."""
    grant = Grant(repositories=("pier-one/**",), actions=frozenset({Action.PULL, Action.PUSH}))
    token = Token(account="harbour", owner="uid", hashes=("0" * 64,), grants=(grant,), not_after=NOW)
    policy = Policy(tokens={"one": token}, namespaces={"pier-one": Claim(account="harbour", owner="uid")})
    small = Propagation.of(policy, policy.revision, {"pod": policy.revision})
    assert isinstance(small.kept, bytes)
    assert small.policy == policy
    assert small.policy.revision == policy.revision

    monkeypatch.setattr(observed, "SMALL", 0)
    assert Propagation.of(policy, policy.revision, {}).policy is policy
