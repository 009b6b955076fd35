"""Why somebody may do something, or may not: docs/why.md.

The path begins with `_`, as no repository's name does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.api.admission import Admission
from registry_runtime.api.trace import trace_of
from registry_runtime.auth.asked import NameUnreadable, identity_of
from registry_runtime.auth.decision import Reason
from registry_runtime.auth.explain import Explanation, explain, manages, told
from registry_runtime.auth.gate import Asker
from registry_runtime.auth.identity import Endpoint, Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.policy import Action, Policy
from registry_runtime.errors import Denied, QuestionInvalid, Unauthorized
from registry_runtime.policy import PolicyFollower

WHY_PATH = "/v2/_roadstead/why"


@dataclass(frozen=True)
class Question:
    """Whether `identity` may do `action` there, by this endpoint."""

    identity: Identity
    endpoint: Endpoint
    repository: RepositoryName
    action: Action


class Whys:
    def __init__(self, admission: Admission, policy: PolicyFollower, clock: Callable[[], datetime]) -> None:
        self._admission = admission
        self._policy = policy
        self._clock = clock

    async def get(self, request: Request) -> Response:
        """Of oneself; of others, where the asker manages the repository. Raises Unauthorized, Denied."""
        asker = self._admission.unnarrowed(self._admission.asker(request))
        if asker.identity.anonymous:
            sentence = "log in: who asks must be somebody"
            raise Unauthorized(sentence, reason=Reason.CREDENTIALS_MISSING)
        policy, now = self._policy.policy(), self._clock()
        asked = _question(request, policy, asker)
        trace = trace_of(request.scope)
        trace.repository, trace.reason = str(asked.repository), Reason.GRANTED
        known = _is_known(asked.identity, asker.identity)
        manager = manages(policy, asker.identity, asked.repository, now=now)
        if not (known or manager):
            sentence = "only who manages a repository may ask what others may do there"
            raise Denied(sentence, reason=Reason.NOT_GRANTED)
        found = _explained(asked, policy, now)
        if not manager:
            found = told(found, policy, asked.identity)
        answer = self._answer(asked, found)
        trace.note("asked", {name: answer[name] for name in ("identity", "action", "reason")})
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def get_any(self, request: Request) -> Response:
        """Of anybody, for the platform: it is the listener that lets nobody else in."""
        policy = self._policy.policy()
        try:
            asked = _question(request, policy, None)
        except QuestionInvalid as error:
            return JSONResponse({"error": error.message}, error.status)
        return JSONResponse(self._answer(asked, _explained(asked, policy, self._clock())))

    def _answer(self, asked: Question, found: Explanation) -> dict[str, Any]:
        missing = found.remedy
        return {
            "allowed": found.allowed,
            "reason": found.decision.reason,
            "sentence": missing.sentence if missing is not None else "it is granted",
            "identity": asked.identity.who or "anybody",
            "endpoint": asked.endpoint,
            "repository": str(asked.repository),
            "action": asked.action,
            "rule": found.rule.text if found.rule is not None else None,
            "missing": {"where": missing.where, "yaml": missing.yaml} if missing is not None else None,
            "revision": self._policy.revision,
        }


def _is_known(asked: Identity, asker: Identity) -> bool:
    """Whether it is the asker, with nothing that the asker has not: a question may invent claims."""
    return asked is asker or (asked.who == asker.who and asked.subjects <= asker.subjects)


def _explained(asked: Question, policy: Policy, now: datetime) -> Explanation:
    return explain(policy, asked.identity, asked.endpoint, asked.repository, asked.action, now=now)


def _question(request: Request, policy: Policy, asker: Asker | None) -> Question:
    """Raises QuestionInvalid and NameInvalid. Without an asker, somebody must be named."""
    query = request.query_params
    door = asker.endpoint if asker is not None else Endpoint.PUBLIC
    try:
        endpoint = Endpoint(query.get("endpoint", door))
        action = Action(query.get("action", Action.PULL))
    except ValueError:
        doors, actions = (", ".join(words) for words in (Endpoint, Action))
        raise QuestionInvalid(f"endpoint is one of {doors}; action is one of {actions}") from None
    if "repository" not in query:
        raise QuestionInvalid("repository is missing: the full name, such as team/app")
    repository = RepositoryName.parse(query["repository"])
    return Question(_asked(request, policy, asker), endpoint, repository, action)


def _asked(request: Request, policy: Policy, asker: Asker | None) -> Identity:
    """By its name, else the asker; both as from the address of the asker, unless another is given."""
    query = request.query_params
    address = query.get("address", asker.identity.source if asker is not None else "")
    if "identity" in query:
        try:
            return identity_of(query["identity"], policy, address)
        except NameUnreadable as error:
            raise QuestionInvalid(str(error)) from None
    if asker is None:
        raise QuestionInvalid("identity is missing")
    return asker.identity if "address" not in query else replace(asker.identity, source=address)
