"""From a request to who asks, and through the gate."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from registry_runtime.api.access import judged
from registry_runtime.api.headers import given
from registry_runtime.api.trace import ITSELF, Trace, claimed, trace_of
from registry_runtime.auth.credentials import parse
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.identity import Identity
from registry_runtime.auth.remembered import Key, Passed
from registry_runtime.content.name import NameRange, RepositoryName
from registry_runtime.contract.policy import Action, Sparse
from registry_runtime.repository import Allowance


class Admission:
    """What every noun asks first."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def asker(self, request: Request) -> Asker:
        """Raises Unauthorized or TooManyRequests."""
        trace = trace_of(request.scope)
        source = request.client.host if request.client is not None else ""
        with claimed(trace, credentials := parse(request.headers.get("authorization"))):
            identity = self._gate.identify(credentials, source)
        _tell(trace, identity, self._gate.account(identity))
        return Asker(identity, trace.endpoint)

    def repository(self, request: Request, action: Action) -> RepositoryName:
        """The repository of the URL, where this may be done. Raises NameInvalid, Unauthorized, Denied."""
        return self.admitted(request, action)[0]

    def admitted(self, request: Request, action: Action) -> tuple[RepositoryName, Identity]:
        """As `repository`, and who asks."""
        name = named(request)
        trace = trace_of(request.scope)
        trace.action = action
        key = _key(request, trace, name, action)
        passed = self._recall(key, trace)
        if passed is not None:
            return name, passed.identity
        asker = self.asker(request)
        decision = self._gate.admit(asker, name, action)
        trace.reason = decision.reason
        self._gate.remember(key, asker.identity, decision, judged(trace))
        return name, asker.identity

    def allowance(self, identity: Identity) -> Allowance | None:
        """How often the identity may push; None: as often as it likes."""
        uses = self._gate.uses(identity)
        return Allowance(identity.token, uses) if uses is not None and identity.token is not None else None

    def _recall(self, key: Key, trace: Trace) -> Passed | None:
        """Who was let through with the same before, and whose time is not over."""
        passed = self._gate.recall(key)
        if passed is not None:
            _tell(trace, passed.identity, passed.account)
            trace.reason, trace.judged = passed.decision.reason, passed.told
        return passed

    def untimed(self, request: Request, action: Action) -> tuple[RepositoryName, Asker]:
        """As `repository`, but for time: whether the bearer's or the AccessToken's is over, see `lapsed`.

        All else is judged as it is now: an AccessToken that was taken away ends no work.
        """
        name = named(request)
        trace = trace_of(request.scope)
        trace.action = action
        passed = self._recall(_key(request, trace, name, action), trace)
        if passed is not None:
            return name, Asker(passed.identity, trace.endpoint)
        asker = self.asker(request)
        self.admit(request, _timeless(asker), name, action)
        return name, asker

    def still(self, request: Request, asker: Asker, name: RepositoryName, action: Action) -> None:
        """As `untimed`, when the body has come: that may take as long as the client likes."""
        trace = trace_of(request.scope)
        if self._recall(_key(request, trace, name, action), trace) is None:
            self.admit(request, _timeless(asker), name, action)

    def admit(self, request: Request, asker: Asker, name: RepositoryName | None, action: Action) -> None:
        trace = trace_of(request.scope)
        trace.action, trace.judged = action, ""
        trace.reason = self._gate.admit(asker, name, action).reason

    def ping(self, request: Request, asker: Asker) -> None:
        """Whether the client may go on as it is. Raises Unauthorized where a login could give it more."""
        trace_of(request.scope).reason = self._gate.ping(asker)

    def may(self, asker: Asker, name: RepositoryName, action: Action) -> bool:
        return self._gate.decide(asker, name, action).allowed

    def sight(self, asker: Asker) -> tuple[NameRange, ...]:
        """Where to look for repositories that the asker may list."""
        return self._gate.sight(asker)

    def sparse(self, name: RepositoryName) -> Sparse:
        """What manifests of the repository may lack."""
        return self._gate.sparse(name)

    @staticmethod
    def unnarrowed(asker: Asker) -> Asker:
        """The asker by who it is, without the scopes of its bearer: where a client could not name them."""
        return replace(asker, identity=replace(asker.identity, scopes=None))


def _timeless(asker: Asker) -> Asker:
    """Who asks, whose own time is not looked at: see `untimed`."""
    return replace(asker, identity=asker.identity.renewed())


def _tell(trace: Trace, identity: Identity, account: str | None) -> None:
    """What the record says of who asks; a replica that checks itself is told from all others."""
    trace.who, trace.account = identity.who or None, account
    if identity.is_replica:
        trace.event = ITSELF


def _key(request: Request, trace: Trace, name: RepositoryName, action: Action) -> Key:
    return given(request, b"authorization"), trace.endpoint, name.text, action


def named(request: Request) -> RepositoryName:
    """The repository of the URL. Raises NameInvalid."""
    name = RepositoryName.parse(request.path_params["name"])
    trace_of(request.scope).repository = str(name)
    return name
